package database

// IsDuplicate tells whether a statement failed because a row with the same unique key is there.
func IsDuplicate(err error) bool {
	return postgresCode(err) == "23505" || isSQLiteDuplicate(err)
}

// IsTransient tells whether PostgreSQL ended a transaction only because of others that ran at the same time: a deadlock, or
// an order that cannot be serialized. The whole transaction may be tried again.
func IsTransient(err error) bool {
	code := postgresCode(err)
	return code == "40001" || code == "40P01"
}

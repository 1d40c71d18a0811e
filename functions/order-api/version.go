package orderapi

import (
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace/millrace/functions/internal/order"
)

// headerIfMatch names the versions that an order may have for a change (RFC 9110 §13.1.1).
const headerIfMatch = "If-Match"

// etag returns the version of an order as an entity tag: "3".
func etag(o order.Order) string { return strconv.Quote(strconv.FormatInt(o.Version, 10)) }

// ifMatch is the value of an If-Match header: * or a list of entity tags.
type ifMatch string

// Schema says what an If-Match header may be.
func (ifMatch) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeString, Pattern: `^(\*|(W/)?"[!#-~]{0,64}"([ \t]*,[ \t]*(W/)?"[!#-~]{0,64}"){0,7})$`,
		PatternDescription: `* or up to eight entity tags such as "3"`,
		Description:        `Changes the order only if it has this version, as the ETag header of an answer told: "3". Otherwise the answer is 412.`,
	}
}

// isVersion tells whether m asks for versions, not only for an order or for nothing.
func (m ifMatch) isVersion() bool { return m != "" && m != "*" }

// allows tells whether an order that exists is as m wants it. Weak tags never are.
func (m ifMatch) allows(o order.Order) bool {
	if !m.isVersion() {
		return true
	}
	for tag := range strings.SplitSeq(string(m), ",") {
		if strings.TrimSpace(tag) == etag(o) {
			return true
		}
	}
	return false
}

// problemOfVersion says that the order has another version than the client wants to change.
func problemOfVersion(id string, version int64) *problem {
	return otherVersion.because("Order %s has version %d, which If-Match does not name. Read it again.", id, version)
}

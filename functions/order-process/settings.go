package orderprocess

import (
	"time"

	"github.com/millrace/millrace/runtime/database"
)

// settings are the function's part of the environment.
type settings struct {
	Database database.Config

	PaymentTimeout       time.Duration `env:"ORDER_PAYMENT_TIMEOUT, default=15m" min:"1s" max:"720h" doc:"How long an order waits to be charged before it is cancelled."`
	ManualPaymentTimeout time.Duration `env:"ORDER_MANUAL_PAYMENT_TIMEOUT, default=24h" min:"1s" max:"720h" doc:"How long an order that is paid by hand waits for its payment before it is cancelled."`
	StockTimeout         time.Duration `env:"ORDER_STOCK_TIMEOUT, default=15m" min:"1s" max:"720h" doc:"How long a paid order waits for its goods to be set aside before it is cancelled."`
}

// patience returns how long an order waits for each step.
func (s *settings) patience() map[step]time.Duration {
	return map[step]time.Duration{
		charge:      s.PaymentTimeout,
		handPayment: s.ManualPaymentTimeout,
		reservation: s.StockTimeout,
	}
}

package orderapi

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"

	"github.com/millrace/millrace/cloudevents/money"
	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/functions/internal/orderview"
	"github.com/millrace/millrace/runtime/projection"
)

// getInput is a request for an order.
type getInput struct {
	Flow

	ID id `path:"id" example:"0199a3c4-5f1e-7d3a-9c1b-2f6d8e0a4b5c"`
}

// Paging says which page of a list is asked for.
type Paging struct {
	Page  int `query:"page" default:"1" minimum:"1" maximum:"1000000000" doc:"Which page, counted from 1."`
	Limit int `query:"limit" default:"20" minimum:"1" maximum:"100" doc:"How many orders a page has."`
}

// listInput is a request for a page of all orders.
type listInput struct {
	Flow
	Paging
}

// customerInput is a request for a page of a customer's orders.
type customerInput struct {
	Flow
	Paging

	ID id `path:"id" example:"customer-789"`
}

// pageView is a page of a list of orders.
type pageView struct {
	Orders []summaryView `json:"orders" nullable:"false" doc:"The orders of the page, newest first. A page behind the last one has none."`
	Total  int           `json:"total" minimum:"0" doc:"How many orders the list has."`
	Pages  int           `json:"pages" minimum:"0" doc:"How many pages of this limit the list has."`
}

// summaryView is an order as lists show it.
type summaryView struct {
	OrderID    string           `json:"orderId" example:"0199a3c4-5f1e-7d3a-9c1b-2f6d8e0a4b5c"`
	CustomerID string           `json:"customerId" example:"customer-789"`
	Status     order.Status     `json:"status" enum:"pending,paid,processing,shipped,delivered,cancelled"`
	Version    int64            `json:"version" minimum:"1" doc:"How many facts the list knows of the order. A moment after a change it may be one that was."`
	Amount     money.Amount     `json:"amount"`
	Currency   money.Currency   `json:"currency"`
	ItemCount  int              `json:"itemCount" minimum:"0" doc:"How many lines the order has."`
	OrderDate  time.Time        `json:"orderDate"`
	Payment    fact.PaymentMode `json:"payment"`

	Paid       *paidView       `json:"paid,omitzero"`
	Processing *processingView `json:"processing,omitzero"`
	Shipped    *shippedView    `json:"shipped,omitzero"`
	Delivered  *deliveredView  `json:"delivered,omitzero"`
	Cancelled  *cancelledView  `json:"cancelled,omitzero"`
	Refunded   *refundedView   `json:"refunded,omitzero"`
}

// registerQueries has the API show orders.
func (s *shop) registerQueries(api huma.API, d describer) {
	huma.Register(api, d.query("getOrder", pathOrder, "Read an order",
		"As it is after all changes that were answered.", reflect.TypeFor[orderView](), http.StatusNotFound), s.getOrder)
	huma.Register(api, d.query("getAllOrders", pathOrders, "List all orders, newest first",
		"The list follows the orders within a moment.", reflect.TypeFor[pageView]()), s.getAllOrders)
	huma.Register(api, d.query("getOrdersByCustomer", pathCustomers+"/{id}/orders", "List a customer's orders, newest first",
		"The list follows the orders within a moment. That of a customer without orders is empty.", reflect.TypeFor[pageView]()), s.getOrdersByCustomer)
}

// getOrder reads the order's events: what a change was answered is there.
func (s *shop) getOrder(ctx context.Context, in *getInput) (*reply, error) {
	o, err := s.orders.Load(ctx, string(in.ID))
	if err == nil && o.Status() == order.None {
		err = unknown(string(in.ID))
	}
	if err != nil {
		return nil, problemOf(ctx, err)
	}
	return replyWith(ctx, viewOf(o), etag(o))
}

func (s *shop) getAllOrders(ctx context.Context, in *listInput) (*reply, error) {
	page, err := s.lists.All(ctx, in.Page, in.Limit)
	return replyWithPage(ctx, page, err)
}

func (s *shop) getOrdersByCustomer(ctx context.Context, in *customerInput) (*reply, error) {
	page, err := s.lists.ByCustomer(ctx, string(in.ID), in.Page, in.Limit)
	return replyWithPage(ctx, page, err)
}

func replyWithPage(ctx context.Context, page orderview.Page, err error) (*reply, error) {
	if building, ok := errors.AsType[*projection.NotBuiltError](err); ok {
		return nil, notBuilt.because("%s", sentence(building.Error()))
	}
	if err != nil {
		return nil, problemOf(ctx, err)
	}
	v := pageView{Orders: make([]summaryView, len(page.Orders)), Total: page.Total, Pages: page.Pages}
	for i := range page.Orders {
		v.Orders[i] = summaryOf(&page.Orders[i])
	}
	return replyWith(ctx, v, "")
}

// replyWith returns the answer that shows v.
func replyWith(ctx context.Context, v any, etag string) (*reply, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, problemOf(ctx, err)
	}
	return &reply{Status: http.StatusOK, ContentType: mediaJSON, Etag: etag, Body: body}, nil
}

// summaryOf shows a row of a list.
func summaryOf(r *orderview.Row) summaryView {
	return summaryView{
		OrderID: r.OrderID, CustomerID: r.CustomerID, Status: r.Status, Version: r.Version, Amount: r.Amount, Currency: r.Currency,
		ItemCount: r.Items, OrderDate: r.OrderDate, Payment: r.Payment,
		Paid:       shownIf(r.PaidAt, paidView{r.PaymentMethod, r.TransactionID, r.PaidAt}),
		Processing: shownIf(r.ProcessingStartedAt, processingView{StartedAt: r.ProcessingStartedAt}),
		Shipped:    shownIf(r.ShippedAt, shippedView{r.TrackingNumber, r.Carrier, r.EstimatedDelivery, r.ShippedAt}),
		Delivered:  shownIf(r.DeliveredAt, deliveredView{r.DeliveredAt}),
		Cancelled:  shownIf(r.CancelledAt, cancelledView{r.Reason, r.RefundAmount, r.CancelledAt}),
		Refunded:   shownIf(r.RefundedAt, refundedView{Amount: r.Refunded, RefundedAt: r.RefundedAt}),
	}
}

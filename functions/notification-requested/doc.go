// Package notificationrequested delivers notifications: email through an SMTP server, text messages and alerts through a
// signed webhook. Then it says so with EmailSent, SmsSent or AdminAlerted, and with NotificationSent.
//
// # Who gets an email
//
// The recipient of a notification is a customer's or user's id, as in the tutorial, and nobody here knows their address.
// A recipient with an "@" is the address; else the member email of the data, where it is an address; else the recipient
// at NOTIFY_RECIPIENT_DOMAIN, whose mail server knows the customers. An address here is a bare one in ASCII, without
// quotes, comments or a display name.
//
// # Words
//
// The template's name chooses the words: see the package templates. Each template can go by each channel.
//
// # Webhook
//
// Text messages and alerts are posted to NOTIFY_WEBHOOK_URL, signed with each key of NOTIFY_WEBHOOK_SECRET as Standard
// Webhooks describes:
//
//	{"type":"notification.sms","timestamp":"2023-12-01T10:00:00Z","data":{"notificationId":"…","recipient":"customer-789",
//	 "template":"payment_confirmation","subject":"…","text":"…","data":{"orderId":"12345", …}}}
//
// The type of an alert is notification.admin_alert.
//
// # Once or twice
//
// A delivery is repeated when the process dies before the record is finished. The mail's Message-ID and the webhook-id
// are made from the event's id, so that the repetition can be told from a second message.
//
// # Failures
//
// Dead-lettered at once: an unknown template or channel, a malformed recipient, line ends where they would end a header,
// and what the mail server (5xx) or the receiver of the webhook (4xx) refuses for good. While a server cannot be
// reached, records wait and no attempt is spent. Everything else is tried again. The packages mailer and webhook below
// internal have the whole tables.
//
// # Environment
//
//	SMTP_ADDR                     127.0.0.1:1025                         mail server, host:port
//	SMTP_FROM                     Millrace Shop <shop@millrace.example>  sender of every email
//	SMTP_TLS                      starttls                               starttls, implicit, or none on this machine
//	SMTP_USERNAME, SMTP_PASSWORD                                         sign-in, both or neither
//	SMTP_CA_FILE                                                         PEM file of the authorities to trust
//	SMTP_CONNECTIONS              10                                     connections at once, 1 to 100
//	NOTIFY_RECIPIENT_DOMAIN       customers.millrace.example             domain of recipients that are ids
//	NOTIFY_WEBHOOK_URL            http://127.0.0.1:1081/notifications    https, or http to this machine
//	NOTIFY_WEBHOOK_SECRET         (required)                             whsec_ keys, several separated by spaces
//	NOTIFY_WEBHOOK_ALLOW_PRIVATE  false                                  let the URL lead to private addresses
//
// It imports what every function may, and runtime/config for the type of secrets and problems.
package notificationrequested

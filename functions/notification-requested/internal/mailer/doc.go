// Package mailer hands mail to one SMTP server (RFC 5321) and says of each failure what is to become of the event.
//
// A mail costs one transaction on a connection that is already open: at most [Options].Connections are, each is used for
// one mail at a time, and one that nobody used for [Options].Idle is closed. No goroutine waits for that.
//
// The line between the outcomes is drawn where a repetition could deliver twice:
//
//	the server cannot be reached, refuses the sign-in or the sender, or says 421      function.Unavailable("smtp")
//	no answer in time, before the content was sent                                    function.Unavailable("smtp")
//	450, 451, 452 and other temporary answers about this mail                         a plain error: tried again
//	no answer once the content was sent: the server may have taken the mail           a plain error: tried again
//	5xx about the recipient or the content                                            function.Permanent
//
// Unavailable spends no attempt, so it is kept for cases where the mail was surely not taken; the others are repeated as
// often as the function's attempts allow, with the same Message-ID.
//
// It imports runtime/function for the outcomes and go-mail; nothing else of this module.
package mailer

package webhook

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
)

// Address is where a Client posts to.
type Address struct {
	target string
	// host is the part that errors may show, with the port.
	host     string
	loopback bool
}

// ParseAddress reads an https URL, or an http one of this machine: 127.0.0.1, [::1], localhost. It may not carry a user
// or a fragment. The errors do not quote the text, which may hold a token.
func ParseAddress(text string) (Address, error) {
	target, err := url.Parse(text)
	if err != nil {
		return Address{}, errors.New("must be a URL")
	}
	a := Address{target: text, host: target.Host, loopback: isLoopbackHost(target.Hostname())}
	switch {
	case target.Hostname() == "":
		return Address{}, errors.New("must be a URL with a host")
	case target.User != nil, target.Fragment != "":
		return Address{}, errors.New("must be a URL without a user and a fragment: the signature is what the receiver checks")
	case target.Scheme == "https", target.Scheme == "http" && a.loopback:
		return a, nil
	}
	return Address{}, errors.New("must be an https URL, or an http URL of this machine (127.0.0.1, [::1], localhost)")
}

// isLoopbackHost tells whether host names this machine without a look-up.
func isLoopbackHost(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// RefusedAddressError says that a name led to an address that the client does not connect to.
type RefusedAddressError struct {
	Addr netip.Addr
	// Kind is what the address is: "loopback", "link-local", "private", …
	Kind string
}

func (e *RefusedAddressError) Error() string {
	return fmt.Sprintf("%s is a %s address: connections to it are refused", e.Addr, e.Kind)
}

// rules say which addresses may be connected to.
type rules struct {
	// onlyLoopback: the address names this machine, so nothing else is meant.
	onlyLoopback bool
	allowPrivate bool
}

func rulesFor(a Address, allowPrivate bool) rules {
	return rules{onlyLoopback: a.loopback, allowPrivate: allowPrivate}
}

// control is a net.Dialer's Control. It sees the resolved address right before the connection is made, so that a name
// cannot be resolved to something else in between.
func (r rules) control(_, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address of a connection: %w", err)
	}
	return r.check(target.Addr())
}

func (r rules) check(addr netip.Addr) error {
	addr = innermost(addr)
	kind := kindOf(addr)
	switch {
	case r.onlyLoopback && kind == kindLoopback:
		return nil
	case r.onlyLoopback && kind == kindPublic:
		kind = "foreign"
	case !r.onlyLoopback && kind == kindPublic:
		return nil
	case !r.onlyLoopback && r.allowPrivate && (kind == kindPrivate || kind == kindLoopback):
		return nil
	}
	return &RefusedAddressError{Addr: addr, Kind: kind}
}

// nat64 hides an IPv4 address in its last 32 bits (RFC 6052). Networks without IPv4 reach the others through it.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// innermost returns the address that a connection ends at.
func innermost(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if nat64.Contains(addr) {
		bytes := addr.As16()
		return netip.AddrFrom4([4]byte(bytes[12:]))
	}
	return addr
}

// The kinds of addresses.
const (
	kindPublic    = "public"
	kindLoopback  = "loopback"
	kindPrivate   = "private"
	kindLinkLocal = "link-local"
	kindMetadata  = "metadata"
	kindReserved  = "reserved"
)

// metadata are the addresses beside the link-local ones where clouds answer with credentials to whoever asks: AWS over
// IPv6, Alibaba, Oracle, Azure.
var metadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"),
	netip.MustParseAddr("fd20:ce::254"),
	netip.MustParseAddr("100.100.100.200"),
	netip.MustParseAddr("192.0.0.192"),
	netip.MustParseAddr("168.63.129.16"),
}

// sharedSpace is between a provider and its customers (RFC 6598): private.
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// reserved is what is neither public nor private (RFC 6890), or hides an IPv4 address inside an IPv6 one.
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"), // IPv4-compatible, unspecified
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"), // Teredo and others
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"), // 6to4
	netip.MustParsePrefix("3fff::/20"),
	netip.MustParsePrefix("5f00::/16"),
	netip.MustParsePrefix("fec0::/10"),
}

func kindOf(addr netip.Addr) string {
	within := func(p netip.Prefix) bool { return p.Contains(addr) }
	switch {
	case slices.Contains(metadata, addr):
		return kindMetadata
	case addr.IsLinkLocalUnicast(), addr.IsLinkLocalMulticast():
		return kindLinkLocal
	case addr.IsLoopback():
		return kindLoopback
	case addr.IsPrivate(), sharedSpace.Contains(addr):
		return kindPrivate
	case !addr.IsGlobalUnicast(), slices.ContainsFunc(reserved, within):
		return kindReserved
	}
	return kindPublic
}

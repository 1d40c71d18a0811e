package provider

import (
	"errors"
	"net/netip"
	"net/url"
)

// Address is where a provider listens.
type Address struct{ base *url.URL }

// ParseAddress reads an https URL, or an http one of this machine: 127.0.0.1, [::1], localhost. It may have a path, below
// which the provider's resources are, and no user, query or fragment. The errors do not quote the text.
func ParseAddress(text string) (Address, error) {
	base, err := url.Parse(text)
	if err != nil || base.Hostname() == "" {
		return Address{}, errors.New("must be a URL with a host")
	}
	if base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return Address{}, errors.New("must be a URL without a user, a query and a fragment")
	}
	if base.Scheme == "https" || base.Scheme == "http" && isLoopback(base.Hostname()) {
		return Address{base}, nil
	}
	return Address{}, errors.New("must be an https URL, or an http URL of this machine (127.0.0.1, [::1], localhost)")
}

// isLoopback tells whether host names this machine without a look-up.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

package webhook

import (
	"errors"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		ok   bool
	}{
		{"https://hooks.example/notifications", true},
		{"https://hooks.example:8443/?token=x", true},
		{"https://10.0.0.1/", true}, // Refused when it is dialled, unless private addresses are allowed.
		{"http://127.0.0.1:1081/notifications", true},
		{"http://[::1]:1081/", true},
		{"http://localhost:1081/", true},
		{"http://hooks.example/", false},
		{"http://10.0.0.1/", false},
		{"http://localhost.evil.example/", false},
		{"http://127.0.0.1.evil.example/", false},
		{"http://2130706433/", false},
		{"ftp://127.0.0.1/", false},
		{"file:///etc/passwd", false},
		{"gopher://127.0.0.1/", false},
		{"https://canary:canary@hooks.example/", false},
		{"https://hooks.example/#canary", false},
		{"https:///canary", false},
		{"//hooks.example", false},
		{"hooks.example", false},
		{"", false},
		{"https://hooks.example/canary\r\nX: y", false},
		{"https://%zz/canary", false},
	}
	for _, test := range tests {
		_, err := ParseAddress(test.text)
		if (err == nil) != test.ok {
			t.Errorf("%q: got %v", test.text, err)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("the error repeats the address: %v", err)
		}
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	public := rules{}
	private := rules{allowPrivate: true}
	loopback := rules{onlyLoopback: true}
	tests := []struct {
		address                   string
		public, private, loopback bool
	}{
		{"93.184.215.14:443", true, true, false},
		{"[2606:2800:21f:cb07:6820:80da:af6b:8b2c]:443", true, true, false},
		{"127.0.0.1:443", false, true, true},
		{"127.1.2.3:443", false, true, true},
		{"[::1]:443", false, true, true},
		{"[::ffff:127.0.0.1]:443", false, true, true},
		{"10.0.0.1:443", false, true, false},
		{"172.16.0.1:443", false, true, false},
		{"172.31.255.255:443", false, true, false},
		{"172.32.0.1:443", true, true, false},
		{"192.168.1.1:443", false, true, false},
		{"100.64.0.1:443", false, true, false},
		{"[fd12::1]:443", false, true, false},
		{"[::ffff:10.0.0.1]:443", false, true, false},
		{"[64:ff9b::10.0.0.1]:443", false, true, false},
		{"[64:ff9b::93.184.215.14]:443", true, true, false},
		{"169.254.169.254:80", false, false, false},
		{"169.254.170.2:80", false, false, false},
		{"[::ffff:169.254.169.254]:80", false, false, false},
		{"[64:ff9b::169.254.169.254]:80", false, false, false},
		{"[fd00:ec2::254]:80", false, false, false},
		{"[fd20:ce::254]:80", false, false, false},
		{"100.100.100.200:80", false, false, false},
		{"192.0.0.192:80", false, false, false},
		{"168.63.129.16:80", false, false, false},
		{"[fe80::1%eth0]:80", false, false, false},
		{"0.0.0.0:80", false, false, false},
		{"0.1.2.3:80", false, false, false},
		{"[::]:80", false, false, false},
		{"[::7f00:1]:80", false, false, false},
		{"[2002:7f00:1::]:80", false, false, false},
		{"[2001:0:7f00:1::]:80", false, false, false},
		{"224.0.0.1:80", false, false, false},
		{"255.255.255.255:80", false, false, false},
		{"240.0.0.1:80", false, false, false},
		{"192.0.2.1:80", false, false, false},
		{"198.18.0.1:80", false, false, false},
		{"[ff02::1]:80", false, false, false},
		{"[fec0::1]:80", false, false, false},
		{"hooks.example:80", false, false, false},
	}
	for _, test := range tests {
		for _, door := range []struct {
			name  string
			rules rules
			want  bool
		}{{"public", public, test.public}, {"private", private, test.private}, {"loopback", loopback, test.loopback}} {
			err := door.rules.control("tcp", test.address, nil)
			if (err == nil) != door.want {
				t.Errorf("%s, %s: got %v", test.address, door.name, err)
			}
		}
	}
	var refused *RefusedAddressError
	if err := public.control("tcp4", "169.254.169.254:80", nil); !errors.As(err, &refused) || refused.Kind != kindLinkLocal {
		t.Errorf("got %v, want a refused link-local address", err)
	}
}

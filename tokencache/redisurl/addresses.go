package redisurl

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// addresses returns where the URL leads, each as HOST:PORT, or the path of a
// socket.
func addresses(p parts) ([]string, error) {
	if p.scheme.kind == socket {
		switch {
		case len(p.hosts) > 1 || p.hosts[0] != "":
			return nil, errors.New("a socket has no host: write unix:///PATH, with three slashes")
		case strings.Trim(p.path, "/") == "":
			return nil, errors.New("the path of the socket is missing: write unix:///PATH")
		}
		return []string{p.path}, nil
	}
	if p.scheme.kind == node && len(p.hosts) > 1 {
		return nil, errors.New("there are several hosts in it: write redis+cluster://HOST,HOST or redis+sentinel://HOST,HOST/MASTER")
	}
	var addrs []string
	for i, raw := range p.hosts {
		addr, err := address(raw, p.scheme.port)
		if err != nil {
			if len(p.hosts) > 1 {
				err = fmt.Errorf("host %d: %w", i+1, err)
			}
			return nil, err
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

func address(raw, port string) (string, error) {
	u, err := url.Parse("redis://" + raw)
	if err != nil || u.Host != raw || strings.Contains(u.Hostname(), ":") && !strings.HasPrefix(raw, "[") {
		return "", errors.New("the host is not one: write HOST or HOST:PORT, and an IPv6 address in brackets")
	}
	host := u.Hostname()
	if host == "" {
		return "", errors.New("the host is missing")
	}
	if u.Port() != "" {
		port = u.Port()
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", errors.New("the port is not a number from 1 to 65535")
	}
	return net.JoinHostPort(host, port), nil
}

// Local reports whether all addresses are of this machine: loopback addresses,
// localhost, and sockets.
func Local(addrs []string) bool {
	for _, addr := range addrs {
		host, _, err := net.SplitHostPort(addr)
		if err != nil || host == "localhost" {
			continue // without a port it is the path of a socket
		}
		if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
			return false
		}
	}
	return true
}

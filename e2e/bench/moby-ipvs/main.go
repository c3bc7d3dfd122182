// Programs a table through github.com/moby/ipvs, in the network namespace that it is started in, and prints the seconds that
// this took: from the parsed table to the last answer, without the start of the process.
//
//	moby-ipvs <table
//
// The table is what `ipvsadm -Sn` prints. A line that holds more than address, scheduler, forwarding and weight is refused:
// leaving something out would make the comparison unfair.
package main

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/moby/ipvs"
	"golang.org/x/sys/unix"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "moby-ipvs:", err)
		os.Exit(1)
	}
}

func run() error {
	table, err := read(bufio.NewScanner(os.Stdin))
	if err != nil {
		return err
	}
	handle, err := ipvs.New("")
	if err != nil {
		return fmt.Errorf("open a socket: %w", err)
	}
	defer handle.Close()
	start := time.Now()
	if err := program(handle, table); err != nil {
		return err
	}
	fmt.Println(time.Since(start).Seconds())
	return nil
}

// A service with its real servers.
type server struct {
	service      *ipvs.Service
	destinations []*ipvs.Destination
}

// As kube-proxy does it: a message for each service and each real server, one after the other.
func program(handle *ipvs.Handle, table []server) error {
	for _, server := range table {
		if err := handle.NewService(server.service); err != nil {
			return fmt.Errorf("service %s:%d: %w", server.service.Address, server.service.Port, err)
		}
		for _, destination := range server.destinations {
			if err := handle.NewDestination(server.service, destination); err != nil {
				return fmt.Errorf("real server %s:%d: %w", destination.Address, destination.Port, err)
			}
		}
	}
	return nil
}

func read(lines *bufio.Scanner) ([]server, error) {
	var table []server
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if err := add(&table, words); err != nil {
			return nil, fmt.Errorf("%q: %w", lines.Text(), err)
		}
	}
	return table, lines.Err()
}

var protocols = map[string]uint16{"-t": unix.IPPROTO_TCP, "-u": unix.IPPROTO_UDP, "--sctp-service": unix.IPPROTO_SCTP}

var methods = map[string]uint32{
	"-g": ipvs.ConnectionFlagDirectRoute, "-i": ipvs.ConnectionFlagTunnel, "-m": ipvs.ConnectionFlagMasq,
}

// -A PROTOCOL ADDRESS -s SCHEDULER, or -a PROTOCOL ADDRESS -r ADDRESS METHOD -w WEIGHT
func add(table *[]server, words []string) error {
	switch {
	case len(words) == 5 && words[0] == "-A" && words[3] == "-s":
		service, err := serviceOf(words[1], words[2])
		if err != nil {
			return err
		}
		service.SchedName = words[4]
		*table = append(*table, server{service: service})
	case len(words) == 8 && words[0] == "-a" && words[3] == "-r" && words[6] == "-w" && len(*table) > 0:
		last := &(*table)[len(*table)-1]
		service, err := serviceOf(words[1], words[2])
		if err != nil {
			return err
		}
		if service.Protocol != last.service.Protocol || service.Port != last.service.Port || !service.Address.Equal(last.service.Address) {
			return fmt.Errorf("a real server of another service than the one above it")
		}
		destination, err := destinationOf(words[4], words[5], words[7])
		if err != nil {
			return err
		}
		last.destinations = append(last.destinations, destination)
	default:
		return fmt.Errorf("more than this program knows")
	}
	return nil
}

func serviceOf(protocol, address string) (*ipvs.Service, error) {
	number, known := protocols[protocol]
	if !known {
		return nil, fmt.Errorf("unknown kind of service %s", protocol)
	}
	parsed, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	// For IPv6 a prefix length, for IPv4 a mask: the address itself.
	netmask := uint32(128)
	if parsed.Addr().Is4() {
		netmask = 0xffffffff
	}
	return &ipvs.Service{
		Address: net.IP(parsed.Addr().AsSlice()), AddressFamily: family(parsed), Protocol: number, Port: parsed.Port(), Netmask: netmask,
	}, nil
}

func destinationOf(address, method, weight string) (*ipvs.Destination, error) {
	flags, known := methods[method]
	if !known {
		return nil, fmt.Errorf("unknown forwarding method %s", method)
	}
	parsed, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(weight, 10, 31)
	if err != nil {
		return nil, err
	}
	return &ipvs.Destination{
		Address: net.IP(parsed.Addr().AsSlice()), AddressFamily: family(parsed), Port: parsed.Port(), Weight: int(number), ConnectionFlags: flags,
	}, nil
}

func family(address netip.AddrPort) uint16 {
	if address.Addr().Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// The Go library under kube-proxy and kube-router, for `make bench`.
module lvs-operator.io/e2e/bench/moby-ipvs

go 1.26

require (
	github.com/moby/ipvs v1.1.0
	golang.org/x/sys v0.47.0
)

require github.com/sirupsen/logrus v1.9.0 // indirect

// What kube-proxy has beside it, not the much older one that moby/ipvs asks for at least.
require (
	github.com/vishvananda/netlink v1.3.1 // indirect
	github.com/vishvananda/netns v0.0.5 // indirect
)

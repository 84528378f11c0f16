package config

import (
	"strings"

	"github.com/handfast/handfast/config/internal/tree"
)

// NATSEngine is NATS JetStream: embedded servers that form a cluster or, with url, external servers. The state of channels survives a
// restart.
type NATSEngine struct {
	// External NATS servers, version 2.11 or later: nats://host:4222, or tls://host:4222, separated by commas. A URL may contain a user and
	// a password, or a token. Empty means a server in this process.
	URL Secret `yaml:"url" example:"nats://127.0.0.1:4222" secret:"userinfo"`

	// With url: a file with the JWT and the seed of a user, as NATS writes them.
	Credentials Path `yaml:"credentials" example:"user.creds" secret:"true"`

	// With url: the certificate authority of the servers, if it is not a public one: a PEM file.
	CA Path `yaml:"ca" example:"ca.pem"`

	// Without url: the directory of the server in this process. Only one process may use it. Empty means a directory in this user's state
	// directory: nats/alone, or in a cluster a directory with the name of cluster.listen, such as nats/127.0.0.1_6222.
	Dir Path `yaml:"dir" made:"true" example:"/var/lib/handfast"`

	// Without url: whether each write is synced to disk before it is acknowledged, which costs most of the speed. Otherwise writes are
	// synced every two minutes: an acknowledged message survives the end of the process, but not always a power failure.
	SyncAlways bool `yaml:"sync_always" default:"false"`

	// Without url: the cluster of nodes.
	Cluster NATSCluster `yaml:"cluster"`

	// The number of replicas of the state. 0 means three if there are at least three servers, otherwise one.
	Replicas int `yaml:"replicas" default:"0" min:"0" max:"5"`

	// The maximum total size of stored messages, beyond which the oldest are removed. 0 means no limit.
	MaxBytes Bytes `yaml:"max_bytes" default:"0" min:"0"`

	// The prefix of the names of streams and subjects: letters, digits, - and _. Nodes with different prefixes share nothing.
	Prefix string `yaml:"prefix" default:"handfast"`
}

// NATSCluster connects the embedded servers of several nodes. Connections between machines require a secret, and TLS with certificates on
// both sides.
type NATSCluster struct {
	// The address to which other nodes connect. Empty means a single node.
	Listen Address `yaml:"listen" example:"127.0.0.1:6222"`

	// The addresses of other nodes. At least one is required, except on the first node; the node discovers the others. The node's own
	// address may be among them.
	Join []Address `yaml:"join" example:"[127.0.0.1:6223]"`

	// The secret by which the nodes authenticate each other. On loopback, empty means a secret that the first node generates and
	// stores in this user's state directory.
	Secret Secret `yaml:"secret"`

	// The certificate of this node: a PEM file. The certificate must contain the name or address that other nodes have in join, and be
	// valid for both servers and clients.
	Cert Path `yaml:"cert" example:"node.pem" secret:"without key"`

	// The private key of cert: a PEM file. Empty means that the key is in the file cert.
	Key Path `yaml:"key" example:"node.key" secret:"true"`

	// The certificate authority of all nodes: a PEM file.
	CA Path `yaml:"ca" example:"nodes-ca.pem"`
}

// nats checks the settings of a NATSEngine.
func (k *checker) nats(n *NATSEngine, path string) {
	if !validName(strings.ToLower(n.Prefix)) {
		k.tree.Wrong(path+".prefix", tree.Quote(n.Prefix)+" cannot be used in the name of a stream", "letters, digits, - and _")
	}
	c := &n.Cluster
	inside := n.Dir != "" || n.SyncAlways || c.Listen != "" || len(c.Join) > 0 || !c.Secret.Empty() || c.Cert+c.Key+c.CA != ""
	switch {
	case n.URL.Empty() && (n.Credentials != "" || n.CA != ""):
		k.tree.Wrong(path+".url", "required with credentials and ca", "a URL that begins with nats:// or tls://")
	case n.URL.Empty():
		k.natsCluster(c, path+".cluster")
	case inside:
		k.tree.Wrong(path+".url", "dir, sync_always and cluster configure a server in this process", "either url or those keys")
	default:
		for one := range strings.SplitSeq(n.URL.Reveal(), ",") {
			k.url(strings.TrimSpace(one), path+".url", "nats", "tls")
		}
	}
}

func (k *checker) natsCluster(c *NATSCluster, path string) {
	if c.Listen == "" {
		if len(c.Join) > 0 || !c.Secret.Empty() || c.Cert+c.Key+c.CA != "" {
			k.tree.Wrong(path+".listen", "required in a cluster", "the address to which other nodes connect, such as 127.0.0.1:6222 (--cluster-listen)")
		}
		return
	}
	if c.Listen == "off" {
		k.tree.Wrong(path+".listen", `"off" is not an address`, tree.Expected[Address]())
	}
	remote := c.Listen
	if c.Listen.Loopback() {
		remote = ""
	}
	for _, a := range c.Join {
		if a.Host() == "" || strings.HasSuffix(string(a), ":0") {
			k.tree.Wrong(path+".join", tree.Quote(string(a))+" is not the address of a node", "host:port, such as 10.0.0.7:6222")
		} else if !a.Loopback() {
			remote = a
		}
	}
	why := "required, since " + string(remote) + " is not on this machine"
	if remote != "" && c.Secret.Empty() {
		k.tree.Wrong(path+".secret", why, "a secret that all nodes share (--cluster-secret-file)")
	}
	if (remote != "" || c.CA+c.Key != "") && c.Cert == "" {
		k.tree.Wrong(path+".cert", requiredWith(remote, why, "ca and key"), "the certificate of this node (--cluster-cert)")
	}
	if (remote != "" || c.Cert != "") && c.CA == "" {
		k.tree.Wrong(path+".ca", requiredWith(remote, why, "cert"), "the certificate authority of all nodes (--cluster-ca)")
	}
}

func requiredWith(remote Address, why, key string) string {
	if remote == "" {
		return "required with " + key
	}
	return why
}

func init() { registerEngine[NATSEngine]("nats") }

package config

// RedisEngine connects the nodes that share a Redis server of version 7.0 or newer. The state of channels is as durable as that server:
// with "appendonly yes" and "appendfsync always" it survives a crash.
type RedisEngine struct {
	// The URL: redis://user:password@host:6379/0, rediss:// for TLS with a certificate that the system trusts, or unix:///path of a
	// socket. With ?master_set=name the host is a sentinel, and each &addr=host:port another sentinel.
	URL Secret `yaml:"url" default:"redis://127.0.0.1:6379" secret:"userinfo"`

	// The prefix of the names of all keys, so that several services can share a Redis server. In a Redis Cluster the prefix must be in
	// braces, such as {handfast}.
	Prefix string `yaml:"prefix" default:"handfast"`
}

// redisEngine checks the URL and the prefix.
func (k *checker) redisEngine(e *RedisEngine, path string) {
	if e.URL.Empty() {
		k.tree.Wrong(path+".url", "required", "a URL such as redis://127.0.0.1:6379")
		return
	}
	k.url(e.URL.Reveal(), path+".url", "redis", "rediss", "unix")
	if e.Prefix == "" {
		k.tree.Wrong(path+".prefix", "empty", "a word such as handfast")
	}
}

func init() { registerEngine[RedisEngine]("redis") }

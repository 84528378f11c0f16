//go:build linux

package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"

	"github.com/handfast/handfast/bench/internal/peers"
)

// certificate writes cert.pem, key.pem and, for HAProxy, both.pem.
func (b *bench) certificate() error {
	config, err := peers.TLSConfig()
	if err != nil {
		return err
	}
	c := config.Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	for name, text := range map[string][]byte{"cert.pem": cert, "key.pem": key, "both.pem": bytes.Join([][]byte{cert, key}, nil)} {
		if err := os.WriteFile(filepath.Join(b.dir, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

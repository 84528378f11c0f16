//go:build !linux

package cli

import (
	"crypto/x509"
	"runtime"

	"github.com/smallstep/truststore"
)

// systemStore returns the system's certificate store: the keychain on macOS, the user's store on Windows. Both ask the user before
// a change.
func systemStore(ca *x509.Certificate) store {
	s := store{name: "system", where: "the certificates of this user"}
	if runtime.GOOS == "darwin" {
		s.where = "the system's keychain"
	}
	_, err := ca.Verify(x509.VerifyOptions{KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	s.installed, s.partlyInstalled = err == nil, err == nil
	s.add, s.remove = []string{"add it to " + s.where}, []string{"remove it from " + s.where}
	s.change = func(trust bool) error {
		if trust {
			return withOutput(truststore.Install(ca))
		}
		return withOutput(truststore.Uninstall(ca))
	}
	return s
}

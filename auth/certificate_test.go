package auth

import "testing"

func TestCertificateOptions(t *testing.T) {
	for _, o := range []CertificateOptions{{Names: []CertificateName{"URI"}}, {Subjects: map[string]string{"x": ""}}} {
		if _, err := NewCertificates(o); err == nil {
			t.Errorf("NewCertificates(%+v): no error", o)
		}
	}
}

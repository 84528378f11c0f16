package tiny

import "testing"

func TestPositive(t *testing.T) {
	if Positive(-1) || !Positive(1) || !Positive(2) {
		t.Error("wrong")
	}
}

func TestCount(t *testing.T) {
	if Count(2) != "II" {
		t.Error("wrong")
	}
}

func TestLarger(t *testing.T) {
	if Larger(1, 2) != 2 || Larger(2, 1) != 2 {
		t.Error("wrong")
	}
}

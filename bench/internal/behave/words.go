package behave

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// ended describes how connections have ended since start: the number and times for each kind.
func ended(ends []event, start time.Time) string {
	if len(ends) == 0 {
		return "all kept"
	}
	var parts []string
	what, by := kinds(ends)
	for _, kind := range what {
		parts = append(parts, fmt.Sprintf("%d %s %s", len(by[kind]), kind, when(by[kind], start)))
	}
	return strings.Join(parts, ", ")
}

// when describes the period in which events happened, and their number in the busiest second.
func when(events []event, start time.Time) string {
	first, last := events[0].at.Sub(start), events[len(events)-1].at.Sub(start)
	if last-first < 500*time.Millisecond {
		return "together after " + seconds(first)
	}
	most := 0
	for i, e := range events {
		next, _ := slices.BinarySearchFunc(events, e.at.Add(time.Second), func(e event, t time.Time) int { return e.at.Compare(t) })
		most = max(most, next-i)
	}
	return fmt.Sprintf("from %s to %s, at most %d in a second", seconds(first), seconds(last), most)
}

// met describes the handshakes that have failed since start, and slow ones. It returns "" if there are neither.
func met(handshakes []event, start time.Time) string {
	failed := 0
	var parts []string
	var last, slowest time.Duration
	what, by := kinds(handshakes)
	for _, kind := range what {
		for _, e := range by[kind] {
			slowest = max(slowest, e.took)
		}
		if kind == "" {
			continue
		}
		failed += len(by[kind])
		parts = append(parts, fmt.Sprintf("%d %s", len(by[kind]), kind))
		last = max(last, by[kind][len(by[kind])-1].at.Sub(start))
	}
	text := ""
	if failed > 0 {
		text = fmt.Sprintf("%d of %d handshakes failed (%s), the last after %s", failed, len(handshakes), strings.Join(parts, ", "), seconds(last))
	}
	if slowest >= time.Second {
		text = strings.TrimPrefix(text+", the slowest handshake took "+seconds(slowest), ", ")
	}
	return text
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// share formats the number of clients on each server: 100/100/0/0.
func share(each []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(each), " ", "/"), "[]")
}

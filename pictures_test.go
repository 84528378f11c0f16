package handfast_test

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// picture contains the parts of a drawing that describe it to readers who cannot see it.
type picture struct {
	Role  string `xml:"role,attr"`
	Label string `xml:"aria-labelledby,attr"`
	Title struct {
		ID   string `xml:"id,attr"`
		Text string `xml:",chardata"`
	} `xml:"title"`
	Description struct {
		ID   string `xml:"id,attr"`
		Text string `xml:",chardata"`
	} `xml:"desc"`
	Style string `xml:"style"`
}

// Every picture is in a document, with a text alternative; a drawing has a title, a description, and colors for light and dark.
func TestPictures(t *testing.T) {
	var shown strings.Builder
	for _, name := range documents(t) {
		shown.WriteString(prose(t, name))
	}
	names, err := filepath.Glob("docs/*.[ps][nv]g")
	if err != nil || len(names) < 8 {
		t.Fatalf("%d pictures, %v", len(names), err)
	}
	for _, name := range names {
		before, _, ok := strings.Cut(shown.String(), filepath.Base(name)+")")
		alt := before[strings.LastIndex(before, "![")+1:]
		if text, _, _ := strings.Cut(alt, "]("); !ok || len(text) < 20 || strings.Contains(text, "\n") {
			t.Errorf("no document shows %s with a text alternative", name)
		}
		if filepath.Ext(name) != ".svg" {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var p picture
		if err := xml.Unmarshal(source, &p); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if p.Role != "img" || p.Label != p.Title.ID+" "+p.Description.ID || p.Title.Text == "" || len(p.Description.Text) < 50 {
			t.Errorf("%s lacks a title, a description or a reference to them: %q %q %q", name, p.Role, p.Label, p.Title.Text)
		}
		if !strings.Contains(p.Style, "prefers-color-scheme: dark") {
			t.Errorf("%s has only one set of colors", name)
		}
	}
}

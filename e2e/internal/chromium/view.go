package chromium

import (
	"encoding/base64"
	"strings"
	"time"
)

// View sets the size of the page in CSS pixels, and whether the page prefers dark colors.
func (b *Browser) View(width, height int, dark bool) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}, nil)
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// Screenshot returns a PNG image of the visible part of the page.
func (b *Browser) Screenshot() []byte {
	b.t.Helper()
	var r struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"format": "png"}, &r)
	png, err := base64.StdEncoding.DecodeString(r.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	return png
}

// Type types text into the focused element, as a user does with a keyboard.
func (b *Browser) Type(text string) {
	b.t.Helper()
	for _, c := range text {
		b.call("Input.dispatchKeyEvent", map[string]any{"type": "char", "text": string(c)}, nil)
	}
}

// Press presses a key. The key is Enter, Space or a key that types no text, such as "Tab", "Shift+Tab" or "ArrowDown".
func (b *Browser) Press(key string) {
	b.t.Helper()
	name, shift := strings.CutPrefix(key, "Shift+")
	codes := map[string]int{"Tab": 9, "Enter": 13, "Space": 32, "ArrowDown": 40, "ArrowRight": 39}
	event := map[string]any{"key": name, "code": name, "windowsVirtualKeyCode": codes[name]}
	if codes[name] == 0 {
		b.t.Fatalf("unknown key %q", key)
	}
	switch name {
	case "Enter":
		event["text"] = "\r"
	case "Space":
		event["key"], event["text"] = " ", " "
	}
	if shift {
		event["modifiers"] = 8
	}
	for _, kind := range []string{"keyDown", "keyUp"} {
		event["type"] = kind
		b.call("Input.dispatchKeyEvent", event, nil)
	}
}

// Downloads makes the browser save downloads in a directory without asking the user.
func (b *Browser) Downloads(dir string) {
	b.t.Helper()
	session := b.session
	b.session = "" // without a session, the command applies to the browser
	b.call("Browser.setDownloadBehavior", map[string]any{"behavior": "allow", "downloadPath": dir}, nil)
	b.session = session
}

// Until waits until an expression, evaluated in the page, is true.
func (b *Browser) Until(what, expression string) {
	b.t.Helper()
	for end := time.Now().Add(time.Minute); b.Eval("!!("+expression+")") != "true"; {
		if time.Now().After(end) {
			b.t.Fatalf("waited too long until %s; the page shows:\n%s", what, b.Eval("document.body.innerText"))
		}
		b.Eval(`new Promise(done => setTimeout(done, 20))`)
	}
}

// Package browsertest has the tests of the console in a headless Chromium. They are a module of their own, because only they need a
// client of the browser.
package browsertest

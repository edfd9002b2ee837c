package browsertest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/internal/testenv"
)

// examine is a script that returns the findings of axe-core of the impacts serious and critical.
const examine = `(async () => {
  const found = await axe.run(document, {resultTypes: ["violations"]});
  return found.violations.filter((v) => v.impact === "serious" || v.impact === "critical").map((v) => v.id + " (" + v.impact + "): " + v.help + "\n\t" + v.nodes.map((n) => n.html.slice(0, 200)).join("\n\t"));
})()`

// Each page in light and dark, and the previews, which only a form opens.
func TestAxeFindsNothingSerious(t *testing.T) {
	axe := testenv.Axe(t)
	ctx := open(t)
	s := start(t)
	for i := range int64(3) {
		s.publish(t, renamed, user{ID: i})
		s.publish(t, remind, user{ID: i, Name: "Ada"}, parley.WithDueAt(time.Now().Add(time.Hour)), parley.WithTags(parley.Tags{"user_id": i}))
	}
	await(t, "the messages are parked", func() bool { return s.parked(t) == 3 })
	check := func(name string) {
		t.Helper()
		run(t, ctx, script(axe+"; 1"))
		found, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](examine, chromedp.EvalAwaitPromise))
		if err != nil || len(found) > 0 {
			t.Errorf("%s: %v\n%s", name, err, strings.Join(found, "\n"))
		}
	}
	for _, scheme := range []string{"light", "dark"} {
		run(t, ctx, emulate(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}))
		for name, path := range pages {
			run(t, ctx, chromedp.Navigate(s.url+path), chromedp.WaitReady(chromedp.CSS("main")))
			check(fmt.Sprintf("%s, %s", name, scheme))
		}
		run(t, ctx, chromedp.Navigate(s.url+"/s/orders/parked/c1"), click("Replay"), see("Confirm: replay 1"))
		check("preview of a replay, " + scheme)
		run(t, ctx, chromedp.Navigate(s.url+"/s/orders/scheduled"), click("All with its tags"), see("With these messages"), click("Cancel…"), see("Confirm: cancel 1"))
		check("preview of a cancellation, " + scheme)
		run(t, ctx, chromedp.Navigate(s.url+"/s/orders/queues"), chromedp.SetValue(chromedp.CSS(`input[name="queue"]`), "orders"), click("Pause…"), see("Confirm: pause"))
		check("preview of a pause, " + scheme)
	}
}

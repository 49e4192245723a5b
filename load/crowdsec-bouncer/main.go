// A bouncer as CrowdSec's own library makes it, to see that Vedette's /v1/decisions* and /v1/usage-metrics are what
// bouncers expect. It prints what it gets as JSON lines on stdout and does nothing else with it.
//
// It reads commands from stdin, one a line: `live ADDRESS` looks an address up, `end` (or the end of stdin) stops it.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/crowdsecurity/crowdsec/pkg/models"
	csbouncer "github.com/crowdsecurity/go-cs-bouncer"
	"github.com/sirupsen/logrus"
)

// Bouncers send a slash and a version behind their name.
const userAgent = "vedette-example-bouncer/v1.0.0"

type decision struct {
	ID       int64  `json:"id"`
	UUID     string `json:"uuid"`
	Value    string `json:"value"`
	Scope    string `json:"scope"`
	Type     string `json:"type"`
	Origin   string `json:"origin"`
	Scenario string `json:"scenario"`
	Seconds  int64  `json:"seconds"`
}

type line struct {
	Event   string     `json:"event"`
	Address string     `json:"address,omitempty"`
	New     []decision `json:"new,omitempty"`
	Deleted []decision `json:"deleted,omitempty"`
	Found   []decision `json:"found,omitempty"`
	Error   string     `json:"error,omitempty"`
}

type printer struct {
	mutex   sync.Mutex
	encoder *json.Encoder
}

func (p *printer) print(l line) {
	p.mutex.Lock()
	defer p.mutex.Unlock()

	if err := p.encoder.Encode(l); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "crowdsec-bouncer:", err)
	os.Exit(1)
}

// read takes only what a bouncer can act on: every required field there, and a duration that Go can read.
func read(given models.GetDecisionsResponse) ([]decision, error) {
	decisions := make([]decision, 0, len(given))

	for _, d := range given {
		if err := d.Validate(nil); err != nil {
			return nil, err
		}

		duration, err := time.ParseDuration(*d.Duration)
		if err != nil {
			return nil, err
		}

		decisions = append(decisions, decision{
			ID: d.ID, UUID: d.UUID, Value: *d.Value, Scope: *d.Scope, Type: *d.Type,
			Origin: *d.Origin, Scenario: *d.Scenario, Seconds: int64(duration.Seconds()),
		})
	}

	return decisions, nil
}

func follow(out *printer, stream *csbouncer.StreamBouncer) {
	for answer := range stream.Stream {
		fresh, err := read(answer.New)
		if err != nil {
			fail(err)
		}

		deleted, err := read(answer.Deleted)
		if err != nil {
			fail(err)
		}

		out.print(line{Event: "stream", New: fresh, Deleted: deleted})
	}

	fail(errors.New("the stream ended: the first pull failed"))
}

func lookUp(out *printer, live *csbouncer.LiveBouncer, address string) {
	answer, err := live.Get(address)
	if err != nil {
		out.print(line{Event: "live", Address: address, Error: err.Error()})
		return
	}

	found, err := read(*answer)
	if err != nil {
		fail(err)
	}

	out.print(line{Event: "live", Address: address, Found: found})
}

// report says that 3 of 10 requests were dropped, so that there is something to see in Vedette's /metrics.
func report(component *models.RemediationComponentsMetrics, interval time.Duration) {
	now, window := time.Now().Unix(), int64(interval.Seconds())
	item := func(name string, value float64, labels models.MetricsLabels) *models.MetricsDetailItem {
		unit := "request"
		return &models.MetricsDetailItem{Name: &name, Unit: &unit, Value: &value, Labels: labels}
	}
	component.Metrics = append(component.Metrics, &models.DetailedMetrics{
		Meta: &models.MetricsMeta{UtcNowTimestamp: &now, WindowSizeSeconds: &window},
		Items: []*models.MetricsDetailItem{
			item("processed", 10, nil),
			item("dropped", 3, models.MetricsLabels{"origin": "vedette-manual", "ip_type": "ipv4"}),
		},
	})
}

func main() {
	url := flag.String("url", "http://127.0.0.1:8080/", "where Vedette listens")
	key := flag.String("key", os.Getenv("VEDETTE_KEY"), "an API key with scope DECIDE (default $VEDETTE_KEY)")
	every := flag.Duration("every", time.Second, "how often it asks for changes")
	metricsEvery := flag.Duration("metrics-every", time.Second, "how often it reports its usage")
	flag.Parse()

	logrus.SetOutput(os.Stderr)
	logrus.SetLevel(logrus.WarnLevel)

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	out := &printer{encoder: json.NewEncoder(os.Stdout)}
	stream := &csbouncer.StreamBouncer{APIKey: *key, APIUrl: *url, UserAgent: userAgent, TickerInterval: every.String()}
	live := &csbouncer.LiveBouncer{APIKey: *key, APIUrl: *url, UserAgent: userAgent}

	for _, init := range []func() error{stream.Init, live.Init} {
		if err := init(); err != nil {
			fail(err)
		}
	}

	metrics, err := csbouncer.NewMetricsProvider(stream.APIClient, "vedette-example-bouncer", report, logrus.StandardLogger())
	if err != nil {
		fail(err)
	}

	metrics.Interval = *metricsEvery

	go stream.Run(ctx)
	go follow(out, stream)
	go func() { _ = metrics.Run(ctx) }()

	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		switch words := strings.Fields(commands.Text()); {
		case len(words) == 2 && words[0] == "live":
			lookUp(out, live, words[1])
		case len(words) == 1 && words[0] == "end":
			return
		default:
			fail(fmt.Errorf("%q is no command; use `live ADDRESS` or `end`", commands.Text()))
		}
	}
}

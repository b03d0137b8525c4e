// Package inbox holds what all examples share: where the name server is, clients with the settings that every example
// wants, and a place where consumers note what they saw.
package inbox

import (
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

const patience = 120 * time.Second

// An Inbox gathers lines until enough have come.
type Inbox struct {
	mutex sync.Mutex
	lines []string
}

// Add notes a line; it may be called from any goroutine.
func (i *Inbox) Add(line string) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	i.lines = append(i.lines, line)
}

// Wait waits for that many lines and returns them sorted, since messages of several queues come in any order.
func (i *Inbox) Wait(count int) []string {
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		i.mutex.Lock()
		lines := append([]string(nil), i.lines...)
		i.mutex.Unlock()
		sort.Strings(lines)
		if len(lines) >= count {
			return lines
		}
		if time.Now().After(end) {
			panic(fmt.Sprintf("waited for %d lines, got %v", count, lines))
		}
	}
}

// Print waits for that many lines and prints them.
func (i *Inbox) Print(count int) {
	fmt.Println(strings.Join(i.Wait(count), "\n"))
}

// NameServers are those of NAMESRV_ADDR, separated by semicolons, or the one of this machine.
func NameServers() primitive.NsResolver {
	addresses := os.Getenv("NAMESRV_ADDR")
	if addresses == "" {
		addresses = "127.0.0.1:9876"
	}
	return primitive.NewPassthroughResolver(strings.Split(addresses, ";"))
}

// Producer starts one.
func Producer(group string, options ...producer.Option) rocketmq.Producer {
	rlog.SetLogLevel("error")
	p, err := rocketmq.NewProducer(append([]producer.Option{
		producer.WithNsResolver(NameServers()),
		producer.WithGroupName(group),
		producer.WithInstanceName(group),
		producer.WithRetry(2),
	}, options...)...)
	Check(err)
	Check(p.Start())
	return p
}

// Consumer makes one that begins with what is there; it has yet to subscribe and to start.
func Consumer(group string, options ...consumer.Option) rocketmq.PushConsumer {
	rlog.SetLogLevel("error")
	c, err := rocketmq.NewPushConsumer(append([]consumer.Option{
		consumer.WithNsResolver(NameServers()),
		consumer.WithGroupName(group),
		consumer.WithInstance(group),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
	}, options...)...)
	Check(err)
	return c
}

// Check ends the example when something failed.
func Check(err error) {
	if err != nil {
		panic(err)
	}
}

// Where only fresh messages matter, a consumer that has fallen behind passes over the old ones. From outside the same is
// done by bin/mqadmin resetOffsetByTime -g GROUP -t TOPIC -s now
package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"kerolox/examples/inbox"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

const topic = "go-skip-backlog"

func main() {
	p := inbox.Producer("go-skip-backlog-producer")
	defer p.Shutdown()
	send := func(count int) {
		for i := 0; i < count; i++ {
			_, err := p.SendSync(context.Background(), primitive.NewMessage(topic, []byte(fmt.Sprintf("price %d", i))))
			inbox.Check(err)
		}
	}
	send(400)
	time.Sleep(10 * time.Millisecond)
	// what was sent before this is out of date; in earnest: now, minus the age that still matters
	fresh := time.Now().UnixMilli()
	send(100)

	var seen inbox.Inbox
	var skipped atomic.Int32
	c := inbox.Consumer("go-skip-backlog")
	defer c.Shutdown()
	inbox.Check(c.Subscribe(topic, consumer.MessageSelector{},
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			for _, m := range messages {
				if m.BornTimestamp < fresh {
					skipped.Add(1)
				}
				seen.Add("seen")
			}
			return consumer.ConsumeSuccess, nil
		}))
	inbox.Check(c.Start())
	seen.Wait(500)
	fmt.Printf("skipped %d, worked off %d\n", skipped.Load(), 500-skipped.Load())
}

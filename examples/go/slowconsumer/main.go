// Work that waits for something (a database, another service) is done by more goroutines; what is fetched ahead is bounded,
// so that a slow consumer does not fill its memory; and the consumer knows how far behind it is.
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

const topic = "go-slow-consumer"

func main() {
	p := inbox.Producer("go-slow-consumer-producer")
	defer p.Shutdown()
	for i := 0; i < 200; i++ {
		_, err := p.SendSync(context.Background(), primitive.NewMessage(topic, []byte(fmt.Sprintf("work %d", i))))
		inbox.Check(err)
	}

	var seen inbox.Inbox
	var working, several atomic.Int32
	c := inbox.Consumer("go-slow-consumer",
		consumer.WithConsumeGoroutineNums(8),
		// no more than this is fetched ahead: messages, MiB, and how far apart the first and the last in work may be
		consumer.WithPullThresholdForQueue(64),
		consumer.WithPullThresholdSizeForQueue(16),
		consumer.WithConsumeConcurrentlyMaxSpan(500),
		// what takes longer is handed back and comes again
		consumer.WithConsumeTimeout(15*time.Minute))
	defer c.Shutdown()
	inbox.Check(c.Subscribe(topic, consumer.MessageSelector{},
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			if working.Add(1) > 1 {
				several.Store(1)
			}
			time.Sleep(20 * time.Millisecond)
			working.Add(-1)
			seen.Add("done")
			return consumer.ConsumeSuccess, nil
		}))
	inbox.Check(c.Start())
	seen.Wait(200)
	fmt.Printf("several worked at once: %v\n", several.Load() == 1)
	fmt.Printf("behind at the end: %d\n", behind(c))
}

// behind waits until the last results have been noted, and tells how many messages of the topic are not done.
func behind(c interface{ GetOffsetDiffMap() map[string]int64 }) int64 {
	for i := 0; i < 100 && c.GetOffsetDiffMap()[topic] > 0; i++ {
		time.Sleep(50 * time.Millisecond)
	}
	return c.GetOffsetDiffMap()[topic]
}

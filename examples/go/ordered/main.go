// Messages of one order keep their order: the order's number picks the queue, and an orderly consumer takes each queue with
// one goroutine at a time. Different orders are still worked off side by side.
package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"kerolox/examples/inbox"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

const topic = "go-ordered"

func main() {
	p := inbox.Producer("go-ordered-producer", producer.WithQueueSelector(producer.NewHashQueueSelector()))
	defer p.Shutdown()
	for _, step := range []string{"created", "paid", "shipped"} {
		for order := 1; order <= 3; order++ {
			key := fmt.Sprintf("order-%d", order)
			message := primitive.NewMessage(topic, []byte(step)).WithTag(step).WithKeys([]string{key})
			message.WithShardingKey(key)
			// synchronously: an asynchronous send that is repeated may overtake
			_, err := p.SendSync(context.Background(), message)
			inbox.Check(err)
		}
	}

	var seen inbox.Inbox
	var mutex sync.Mutex
	var failed atomic.Bool
	steps := map[string]string{}
	c := inbox.Consumer("go-ordered", consumer.WithConsumerOrder(true))
	defer c.Shutdown()
	inbox.Check(c.Subscribe(topic, consumer.MessageSelector{},
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			order, step := messages[0].GetKeys(), messages[0].GetTags()
			if order == "order-2" && step == "paid" && !failed.Swap(true) {
				// the queue waits here: what comes behind would otherwise overtake
				return consumer.SuspendCurrentQueueAMoment, nil
			}
			mutex.Lock()
			steps[order] += " " + step
			mutex.Unlock()
			seen.Add(order)
			return consumer.ConsumeSuccess, nil
		}))
	inbox.Check(c.Start())
	seen.Wait(9)
	mutex.Lock()
	defer mutex.Unlock()
	for order := 1; order <= 3; order++ {
		key := fmt.Sprintf("order-%d", order)
		fmt.Println(key + ":" + steps[key])
	}
}

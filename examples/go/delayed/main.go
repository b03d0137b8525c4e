// Messages for later: by one of the 18 levels, after any delay, at any time, and one that is taken back.
package main

import (
	"context"
	"strconv"
	"time"

	"kerolox/examples/inbox"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

const topic = "go-delayed"

func main() {
	p := inbox.Producer("go-delayed-producer")
	defer p.Shutdown()
	send := func(m *primitive.Message) *primitive.SendResult {
		result, err := p.SendSync(context.Background(), m)
		inbox.Check(err)
		return result
	}
	in := func(ms int64) int64 { return time.Now().UnixMilli() + ms }
	end := in(3_000)

	level := message("level 2", in(5_000))
	level.WithDelayTimeLevel(2) // 5 s by default, see messageDelayLevel
	send(level)

	delay := message("TIMER_DELAY_MS", in(1_500))
	delay.WithProperty("TIMER_DELAY_MS", "1500")
	send(delay)

	at := message("TIMER_DELIVER_MS", end)
	at.WithProperty("TIMER_DELIVER_MS", strconv.FormatInt(end, 10))
	send(at)

	unwanted := message("taken back", in(4_000))
	unwanted.WithProperty("TIMER_DELAY_MS", "4000")
	sent := send(unwanted)
	cancel := message("cancel", end)
	cancel.WithProperty("TIMER_DEL_UNIQKEY", topic+"+"+sent.MsgID)
	cancel.WithProperty("TIMER_DELIVER_MS", strconv.FormatInt(end, 10))
	send(cancel)

	var seen inbox.Inbox
	c := inbox.Consumer("go-delayed")
	defer c.Shutdown()
	inbox.Check(c.Subscribe(topic, consumer.MessageSelector{},
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			for _, m := range messages {
				due, err := strconv.ParseInt(m.GetProperty("due"), 10, 64)
				inbox.Check(err)
				// when the broker stored what it delivers, by its clock: here that of the same machine
				if m.StoreTimestamp < due {
					seen.Add(string(m.Body) + ": early")
				} else {
					seen.Add(string(m.Body) + ": not early")
				}
			}
			return consumer.ConsumeSuccess, nil
		}))
	inbox.Check(c.Start())
	seen.Print(3)
}

func message(text string, dueMs int64) *primitive.Message {
	m := primitive.NewMessage(topic, []byte(text))
	m.WithProperty("due", strconv.FormatInt(dueMs, 10))
	return m
}

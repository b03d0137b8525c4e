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
	start := time.Now().UnixMilli()

	level := message("level 2", 5_000)
	level.WithDelayTimeLevel(2) // 5 s by default, see messageDelayLevel
	send(level)

	delay := message("TIMER_DELAY_MS", 1_500)
	delay.WithProperty("TIMER_DELAY_MS", "1500")
	send(delay)

	at := message("TIMER_DELIVER_MS", 3_000)
	at.WithProperty("TIMER_DELIVER_MS", strconv.FormatInt(start+3_000, 10))
	send(at)

	unwanted := message("taken back", 2_000)
	unwanted.WithProperty("TIMER_DELAY_MS", "2000")
	sent := send(unwanted)
	cancel := message("cancel", 0)
	cancel.WithProperty("TIMER_DEL_UNIQKEY", topic+"+"+sent.MsgID)
	cancel.WithProperty("TIMER_DELIVER_MS", strconv.FormatInt(start+3_000, 10))
	send(cancel)

	var seen inbox.Inbox
	c := inbox.Consumer("go-delayed")
	defer c.Shutdown()
	inbox.Check(c.Subscribe(topic, consumer.MessageSelector{},
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			for _, m := range messages {
				wanted, err := strconv.ParseInt(m.GetProperty("wanted"), 10, 64)
				inbox.Check(err)
				// one timed message is given from the start of the program, a little before it was made
				if m.StoreTimestamp-m.BornTimestamp < wanted-1_000 {
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

func message(text string, wantedMs int) *primitive.Message {
	m := primitive.NewMessage(topic, []byte(text))
	m.WithProperty("wanted", strconv.Itoa(wantedMs))
	return m
}

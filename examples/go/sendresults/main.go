// The three ways to send, and what to do with each outcome.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"kerolox/examples/inbox"

	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

const topic = "go-send-results"

func main() {
	p := inbox.Producer("go-send-results-producer", producer.WithRetry(2))
	defer p.Shutdown()

	// The time for all tries together. A try that timed out may have been stored: consumers have to bear duplicates.
	patience, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	result, err := p.SendSync(patience, message("sync"))
	inbox.Check(err)
	fmt.Println("sync: " + judge(result))

	later := make(chan string, 1)
	inbox.Check(p.SendAsync(context.Background(), func(_ context.Context, result *primitive.SendResult, err error) {
		inbox.Check(err)
		later <- judge(result)
	}, message("async")))
	fmt.Println("async: " + <-later)

	// For what may be lost, such as log lines: nobody answers.
	inbox.Check(p.SendOneWay(context.Background(), message("one-way")))
	fmt.Println("one-way: no answer")

	tooMuch := make([]byte, 5<<20)
	_, err = rand.Read(tooMuch) // random, since the client compresses first
	inbox.Check(err)
	result, err = p.SendSync(context.Background(), primitive.NewMessage(topic, tooMuch))
	// An error means: not acknowledged. This one will not go away by trying again; a time-out may.
	if err != nil || result.Status == primitive.SendUnknownError {
		fmt.Println("five megabytes: refused")
	}
}

// judge names what a status other than an error means: the message is stored; they differ in what it would survive.
func judge(result *primitive.SendResult) string {
	switch result.Status {
	case primitive.SendOK:
		return "stored as the broker's flush mode promises"
	case primitive.SendFlushDiskTimeout:
		return "stored, but not on the disk in time: lost only if the machine goes down"
	case primitive.SendFlushSlaveTimeout, primitive.SendSlaveNotAvailable:
		return "stored, but by the primary alone"
	default:
		panic(result.String())
	}
}

func message(text string) *primitive.Message {
	return primitive.NewMessage(topic, []byte(text)).WithKeys([]string{text})
}

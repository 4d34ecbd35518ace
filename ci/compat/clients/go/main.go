// Sends and consumes with Apache's Go client: namesrv topic count.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

const limit = 60 * time.Second

var tags = []string{"TagA", "TagB", "TagC"}

func main() {
	rlog.SetLogLevel("error")
	namesrv, topic := os.Args[1], os.Args[2]
	count, err := strconv.Atoi(os.Args[3])
	if err == nil {
		err = send(namesrv, topic, count)
	}
	received := 0
	if err == nil {
		received, err = receive(namesrv, topic, count)
	}
	if err != nil {
		fmt.Println("FAIL", err)
		os.Exit(1)
	}
	fmt.Printf("ok sent %d received %d\n", count, received)
}

func body(i int) string {
	return fmt.Sprintf("message %d from Go", i)
}

// Even numbers one by one, odd ones in batches of five.
func send(namesrv, topic string, count int) error {
	p, err := rocketmq.NewProducer(
		producer.WithNameServer([]string{namesrv}),
		producer.WithGroupName("PG_"+topic),
		producer.WithRetry(2),
	)
	if err != nil {
		return err
	}
	if err = p.Start(); err != nil {
		return err
	}
	defer p.Shutdown()
	var batch []*primitive.Message
	for i := 0; i < count; i++ {
		message := primitive.NewMessage(topic, []byte(body(i)))
		message.WithTag(tags[i%len(tags)])
		message.WithKeys([]string{fmt.Sprintf("key-%d", i)})
		message.WithProperty("number", strconv.Itoa(i))
		if i%2 == 1 {
			batch = append(batch, message)
			if len(batch) < 5 && i < count-2 {
				continue
			}
		}
		group := []*primitive.Message{message}
		if i%2 == 1 {
			group, batch = batch, nil
		}
		result, err := p.SendSync(context.Background(), group...)
		if err != nil {
			return fmt.Errorf("sending message %d: %w", i, err)
		}
		if result.Status != primitive.SendOK {
			return fmt.Errorf("sending message %d: %s", i, result.String())
		}
	}
	return nil
}

// Receives what has the first two tags, each message once.
func receive(namesrv, topic string, count int) (int, error) {
	expected := 0
	for i := 0; i < count; i++ {
		if i%len(tags) != 2 {
			expected++
		}
	}
	var lock sync.Mutex
	seen := map[int]bool{}
	done, wrong := make(chan struct{}), make(chan error, count)
	c, err := rocketmq.NewPushConsumer(
		consumer.WithNameServer([]string{namesrv}),
		consumer.WithGroupName("CG_"+topic),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
	)
	if err != nil {
		return 0, err
	}
	selector := consumer.MessageSelector{Type: consumer.TAG, Expression: "TagA || TagB"}
	err = c.Subscribe(topic, selector, func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		lock.Lock()
		defer lock.Unlock()
		for _, message := range messages {
			i, err := strconv.Atoi(message.GetProperty("number"))
			if err != nil || i%len(tags) == 2 || string(message.Body) != body(i) || message.GetTags() != tags[i%len(tags)] || seen[i] {
				wrong <- fmt.Errorf("wrong or repeated: %s", message.String())
			}
			seen[i] = true
			if len(seen) == expected {
				close(done)
			}
		}
		return consumer.ConsumeSuccess, nil
	})
	if err != nil {
		return 0, err
	}
	if err = c.Start(); err != nil {
		return 0, err
	}
	defer c.Shutdown()
	select {
	case <-done:
		return expected, nil
	case err := <-wrong:
		return 0, err
	case <-time.After(limit):
		lock.Lock()
		defer lock.Unlock()
		return 0, fmt.Errorf("%d of %d received within %s", len(seen), expected, limit)
	}
}

package ringmq;

import static ringmq.Cluster.require;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** The forms of sending. */
final class Sends {
    static String sync(Cluster cluster) throws Exception {
        String topic = cluster.fresh("sync");
        DefaultMQProducer producer = cluster.producer("sync");
        Map<MessageQueue, Long> next = new HashMap<>();
        for (int i = 0; i < 200; i++) {
            SendResult result = producer.send(Cluster.message(topic, i));
            require(result.getSendStatus() == SendStatus.SEND_OK, "status " + result);
            Long expected = next.put(result.getMessageQueue(), result.getQueueOffset() + 1);
            require(expected == null || expected == result.getQueueOffset(), "dense offsets " + result);
            if (i % 50 == 0) {
                MessageExt seen = producer.viewMessage(topic, result.getOffsetMsgId());
                require(Cluster.verified(seen) == i, "view by offset id");
            }
        }
        require(next.size() == 4, "an automatic topic has 4 queues, not " + next.size());
        for (Map.Entry<MessageQueue, Long> entry : next.entrySet()) {
            awaitMaxOffset(producer, entry.getKey(), entry.getValue());
            require(producer.minOffset(entry.getKey()) == 0, "min offset");
            require(producer.earliestMsgStoreTime(entry.getKey()) > 0, "earliest store time");
            require(producer.searchOffset(entry.getKey(), 0) == 0, "offset by time, before all");
        }
        producer.shutdown();
        return "200 messages on " + next.size() + " queues";
    }

    static String async(Cluster cluster) throws Exception {
        String topic = cluster.fresh("async");
        DefaultMQProducer producer = cluster.producer("async");
        producer.send(Cluster.message(topic, 0));
        int count = 2000;
        CountDownLatch answered = new CountDownLatch(count);
        AtomicReference<Throwable> failure = new AtomicReference<>();
        Map<String, Boolean> places = new ConcurrentHashMap<>();
        for (int i = 1; i <= count; i++) {
            producer.send(Cluster.message(topic, i), new SendCallback() {
                @Override
                public void onSuccess(SendResult result) {
                    String place = result.getMessageQueue() + "@" + result.getQueueOffset();
                    if (places.put(place, true) != null || result.getSendStatus() != SendStatus.SEND_OK) {
                        failure.compareAndSet(null, new IllegalStateException("wrong: " + result));
                    }
                    answered.countDown();
                }

                @Override
                public void onException(Throwable e) {
                    failure.compareAndSet(null, e);
                    answered.countDown();
                }
            });
        }
        require(answered.await(60, TimeUnit.SECONDS), answered.getCount() + " sends were not answered");
        if (failure.get() != null) {
            throw new IllegalStateException(failure.get());
        }
        producer.shutdown();
        return count + " sends, each at a place of its own";
    }

    static String oneway(Cluster cluster) throws Exception {
        String topic = cluster.fresh("oneway");
        DefaultMQProducer producer = cluster.producer("oneway");
        SendResult first = producer.send(Cluster.message(topic, 0));
        MessageQueue queue = first.getMessageQueue();
        for (int i = 1; i <= 100; i++) {
            producer.sendOneway(Cluster.message(topic, i), queue);
        }
        awaitMaxOffset(producer, queue, first.getQueueOffset() + 101);
        producer.shutdown();
        return "100 messages stored";
    }

    static String batch(Cluster cluster) throws Exception {
        String topic = cluster.fresh("batch");
        DefaultMQProducer producer = cluster.producer("batch");
        MessageQueue queue = producer.send(Cluster.message(topic, 0)).getMessageQueue();
        List<Message> messages = new ArrayList<>();
        for (int i = 1; i <= 50; i++) {
            messages.add(Cluster.message(topic, i));
        }
        SendResult result = producer.send(messages, queue);
        require(result.getSendStatus() == SendStatus.SEND_OK, "status " + result);
        require(result.getQueueOffset() == 1, "offset of the first " + result);
        require(result.getMsgId().split(",").length == 50, "ids " + result.getMsgId());
        String[] offsetIds = result.getOffsetMsgId().split(",");
        require(offsetIds.length == 50, "offset ids " + Arrays.toString(offsetIds));
        require(Cluster.verified(producer.viewMessage(topic, offsetIds[49])) == 50, "the last of a batch");
        awaitMaxOffset(producer, queue, 51);
        producer.shutdown();
        return "50 messages in one request";
    }

    static String refused(Cluster cluster) throws Exception {
        String topic = cluster.fresh("refused");
        DefaultMQProducer producer = cluster.producer("refused");
        producer.setMaxMessageSize(16 << 20);
        producer.setRetryTimesWhenSendFailed(0);
        producer.send(Cluster.message(topic, 0));
        byte[] large = new byte[5 << 20];
        new Random(7).nextBytes(large); // nothing a client could compress
        require(code(() -> producer.send(new Message(topic, large))) == 13, "a body over the limit");
        MessageQueue beyond = new MessageQueue(topic, brokerOf(producer, topic), 4711);
        int code = code(() -> producer.send(Cluster.message(topic, 1), beyond));
        require(code == 29 || code == 1, "a queue that does not exist: " + code);
        producer.shutdown();
        return "too large, no such queue";
    }

    private static String brokerOf(DefaultMQProducer producer, String topic) throws Exception {
        return producer.fetchPublishMessageQueues(topic).get(0).getBrokerName();
    }

    /** Apache's broker shows the maximum when its index thread has caught up. */
    private static void awaitMaxOffset(DefaultMQProducer producer, MessageQueue queue, long expected) {
        Cluster.await(30, "maximum offset " + expected, () -> {
            try {
                return producer.maxOffset(queue) == expected;
            } catch (MQClientException e) {
                throw new IllegalStateException(e);
            }
        });
    }

    private interface Attempt {
        void run() throws Exception;
    }

    private static int code(Attempt attempt) throws Exception {
        try {
            attempt.run();
            return 0;
        } catch (MQBrokerException e) {
            return e.getResponseCode();
        }
    }

    private Sends() {}
}

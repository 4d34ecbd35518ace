package ringmq;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;

/** What stands between the commands: messages, and clients that are online for a while. */
final class Workload {
    private static final String ADDRESS = "127.0.0.1";
    private static final int WAIT_SECONDS = 60;

    private final String namesrv;
    private final Variables variables;
    private final Map<String, DefaultMQPushConsumer> consumers = new HashMap<>();
    private final Map<String, AtomicInteger> received = new HashMap<>();
    private final Map<String, DefaultMQProducer> producers = new HashMap<>();

    Workload(String namesrv, Variables variables) {
        this.namesrv = namesrv;
        this.variables = variables;
    }

    /** One step; what it returns is compared like the output of a command. */
    String act(String[] words) throws Exception {
        switch (words[0]) {
            case "send":
                return send(words[1], words[2], Integer.parseInt(words[3]), Integer.parseInt(words[4]));
            case "consumer":
                return start(words[1], words[2], words[3], Integer.parseInt(words[4]));
            case "await":
                return await(words[1], Integer.parseInt(words[2]));
            case "stop":
                return stop(words[1]);
            case "now":
                return note(words[1]);
            case "file":
                return write(Path.of(words[1]), words[2]);
            default:
                throw new IllegalArgumentException("no step is called " + words[0]);
        }
    }

    /** Sends messages with known tags, keys and bodies, one queue after the other. */
    private String send(String group, String topic, int count, int queues) throws Exception {
        DefaultMQProducer producer = producer(group);
        for (int i = 0; i < count; i++) {
            String tag = "Tag" + (char) ('A' + i % 3);
            byte[] body = ("message " + i + " to " + topic).getBytes(StandardCharsets.UTF_8);
            int queue = i % queues;
            Message message = new Message(topic, tag, "key-" + i, body);
            SendResult result = producer.send(message, (all, m, arg) -> all.get(queue), null);
            String place = topic + "." + queue + "." + result.getQueueOffset();
            variables.set("offsetId." + place, result.getOffsetMsgId());
            variables.set("uniqueId." + place, result.getMsgId());
        }
        return count + " sent";
    }

    private DefaultMQProducer producer(String group) throws Exception {
        DefaultMQProducer known = producers.get(group);
        if (known != null) {
            return known;
        }
        DefaultMQProducer producer = new DefaultMQProducer(group);
        producer.setNamesrvAddr(namesrv);
        producer.setClientIP(ADDRESS);
        producer.setInstanceName(group);
        producer.setHeartbeatBrokerInterval(1000);
        producer.setSendMsgTimeout(10_000);
        producer.start();
        producers.put(group, producer);
        return producer;
    }

    /** Starts a consumer, waits until it has so many messages, and leaves it online. */
    private String start(String group, String topic, String expression, int count) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        consumer.setNamesrvAddr(namesrv);
        consumer.setClientIP(ADDRESS);
        consumer.setInstanceName(group);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setHeartbeatBrokerInterval(1000);
        consumer.setPersistConsumerOffsetInterval(500);
        consumer.subscribe(topic, expression);
        AtomicInteger counter = new AtomicInteger();
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            counter.addAndGet(messages.size());
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        consumers.put(group, consumer);
        received.put(group, counter);
        return await(group, count);
    }

    private String await(String group, int count) {
        AtomicInteger counter = received.get(group);
        return until(() -> counter.get() >= count) + ": " + counter.get() + " received";
    }

    private String stop(String group) {
        DefaultMQPushConsumer consumer = consumers.remove(group);
        if (consumer != null) {
            consumer.shutdown();
        }
        DefaultMQProducer producer = producers.remove(group);
        if (producer != null) {
            producer.shutdown();
        }
        return "stopped";
    }

    /**
     * Notes a time well after what was stored before it and just before what is stored next: Apache
     * 4.9.7 looks a time up as the nearest message, on either side.
     */
    private String note(String name) {
        LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(500));
        variables.set(name, Long.toString(System.currentTimeMillis()));
        LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(20));
        return "noted";
    }

    private static String write(Path file, String text) throws IOException {
        Files.createDirectories(file.getParent());
        Files.writeString(file, text.replace('\'', '"'));
        return "written";
    }

    private static String until(BooleanSupplier holds) {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(WAIT_SECONDS);
        while (!holds.getAsBoolean()) {
            if (System.nanoTime() > deadline) {
                return "not within " + WAIT_SECONDS + " s";
            }
            LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(20));
        }
        return "done";
    }
}

package ringmq;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * One producer and one consumer group of two over a cluster whose processes somebody else exchanges.
 *
 * <p>Usage: {@code Exchange NAMESRVS TOPIC BROKER..}. The topic exists on all these brokers. Lines come
 * in on standard input: {@code settle} waits until every broker has taken messages that were sent
 * since, and all of them have been consumed; {@code end} stops sending, waits for the rest, counts and
 * exits. Each is answered with one line: {@code ok ..} or {@code FAIL ..}.
 */
public final class Exchange {
    private static final int SETTLED_PER_BROKER = 50;
    private static final int PATIENCE_SECONDS = 75;

    private final String topic;
    private final List<String> brokers;
    private final DefaultMQProducer producer;
    private final List<DefaultMQPushConsumer> consumers = new ArrayList<>();
    /** The broker that acknowledged each message. */
    private final ConcurrentMap<Integer, String> acknowledged = new ConcurrentHashMap<>();
    private final ConcurrentMap<Integer, Integer> consumed = new ConcurrentHashMap<>();
    private final AtomicInteger failedSends = new AtomicInteger();
    private final AtomicInteger strangers = new AtomicInteger();
    private volatile boolean ending;

    public static void main(String[] args) throws Exception {
        Exchange exchange = new Exchange(args[0], args[1], Arrays.asList(args).subList(2, args.length));
        Thread sender = new Thread(exchange::produce, "sender");
        sender.start();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        String line;
        while ((line = lines.readLine()) != null) {
            boolean isEnd = line.equals("end");
            try {
                System.out.println("ok " + (isEnd ? exchange.end(sender) : exchange.settle()));
            } catch (Throwable e) {
                System.out.println("FAIL " + line + ": " + e.getMessage() + " | "
                    + exchange.counts(exchange.acknowledged.keySet()));
                isEnd = true;
            }
            if (isEnd) {
                System.exit(0);
            }
        }
    }

    private Exchange(String namesrvs, String topic, List<String> brokers) throws Exception {
        this.topic = topic;
        this.brokers = brokers;
        for (int i = 0; i < 2; i++) {
            DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("CG-" + topic);
            consumer.setNamesrvAddr(namesrvs);
            consumer.setInstanceName("consumer-" + i);
            consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
            consumer.setPollNameServerInterval(1_000);
            consumer.setHeartbeatBrokerInterval(1_000);
            consumer.setPersistConsumerOffsetInterval(1_000);
            consumer.subscribe(topic, "*");
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                messages.forEach(this::consume);
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
            consumer.start();
            consumers.add(consumer);
        }
        producer = new DefaultMQProducer("PG-" + topic);
        producer.setNamesrvAddr(namesrvs);
        producer.setInstanceName("producer");
        producer.setPollNameServerInterval(1_000);
        producer.setHeartbeatBrokerInterval(1_000);
        producer.setSendMsgTimeout(3_000);
        producer.start();
    }

    private void consume(MessageExt message) {
        int number = Integer.parseInt(new String(message.getBody(), StandardCharsets.UTF_8));
        if (String.valueOf(number).equals(message.getKeys())) {
            consumed.merge(number, 1, Integer::sum);
        } else {
            strangers.incrementAndGet();
        }
    }

    /** Sends number after number, each until somebody acknowledges it. */
    private void produce() {
        for (int number = 0; !ending; number++) {
            byte[] body = String.valueOf(number).getBytes(StandardCharsets.UTF_8);
            Message message = new Message(topic, "", String.valueOf(number), body);
            while (!acknowledged.containsKey(number)) {
                try {
                    SendResult result = producer.send(message);
                    if (result.getSendStatus() == SendStatus.SEND_OK) {
                        acknowledged.put(number, result.getMessageQueue().getBrokerName());
                    }
                } catch (Exception e) {
                    failedSends.incrementAndGet();
                    LockSupport.parkNanos(20_000_000);
                }
            }
            LockSupport.parkNanos(2_000_000);
        }
    }

    private String settle() {
        Set<Integer> before = Set.copyOf(acknowledged.keySet());
        Cluster.await(PATIENCE_SECONDS, SETTLED_PER_BROKER + " new messages on each of " + brokers, () -> {
            Map<String, Integer> each = perBroker(before);
            return brokers.stream().allMatch(broker -> each.getOrDefault(broker, 0) >= SETTLED_PER_BROKER);
        });
        return counts(awaitAll());
    }

    private String end(Thread sender) throws Exception {
        ending = true;
        sender.join();
        Set<Integer> sent = awaitAll();
        Cluster.require(strangers.get() == 0, strangers + " messages that nobody sent");
        consumers.forEach(DefaultMQPushConsumer::shutdown);
        producer.shutdown();
        return counts(sent);
    }

    /** What had been acknowledged, once all of it has been consumed. */
    private Set<Integer> awaitAll() {
        Set<Integer> sent = Set.copyOf(acknowledged.keySet());
        Cluster.await(PATIENCE_SECONDS, "every acknowledged message", () -> consumed.keySet().containsAll(sent));
        return sent;
    }

    private Map<String, Integer> perBroker(Set<Integer> without) {
        Map<String, Integer> each = new TreeMap<>();
        acknowledged.forEach((number, broker) -> {
            if (!without.contains(number)) {
                each.merge(broker, 1, Integer::sum);
            }
        });
        return each;
    }

    private String counts(Set<Integer> sent) {
        long lost = sent.stream().filter(number -> !consumed.containsKey(number)).count();
        int copies = consumed.values().stream().mapToInt(Integer::intValue).sum() - consumed.size();
        return sent.size() + " acknowledged " + perBroker(Set.of()) + ", " + consumed.size() + " consumed, "
            + lost + " missing, " + copies + " copies, " + failedSends + " sends failed and were repeated";
    }
}

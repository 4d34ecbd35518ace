package ringmq;

import static ringmq.Cluster.require;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Push consumers. */
final class Pushes {
    private static final int COUNT = 400;

    /** Notes every verified number, and the first thing that was wrong. */
    private static final class Seen {
        final Map<Integer, Integer> times = new ConcurrentHashMap<>();
        final AtomicReference<Throwable> failure = new AtomicReference<>();

        MessageListenerConcurrently listener() {
            return (messages, context) -> {
                for (MessageExt message : messages) {
                    try {
                        times.merge(Cluster.verified(message), 1, Integer::sum);
                    } catch (Throwable e) {
                        failure.compareAndSet(null, e);
                    }
                }
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            };
        }

        void check() {
            if (failure.get() != null) {
                throw new IllegalStateException(failure.get());
            }
        }
    }

    static String concurrent(Cluster cluster) throws Exception {
        String topic = cluster.fresh("concurrent");
        DefaultMQProducer producer = cluster.producer("concurrent");
        for (int i = 0; i < COUNT / 2; i++) {
            producer.send(Cluster.message(topic, i));
        }
        Seen seen = new Seen();
        DefaultMQPushConsumer consumer = cluster.pushConsumer(cluster.fresh("CG-concurrent"), "concurrent");
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(seen.listener());
        consumer.start();
        for (int i = COUNT / 2; i < COUNT; i++) {
            producer.send(Cluster.message(topic, i));
        }
        Cluster.await(60, COUNT + " messages", () -> seen.times.size() == COUNT);
        seen.check();
        consumer.shutdown();
        producer.shutdown();
        int copies = seen.times.values().stream().mapToInt(Integer::intValue).sum() - COUNT;
        return COUNT + " messages, " + copies + " again";
    }

    static String tags(Cluster cluster) throws Exception {
        String topic = cluster.fresh("tags");
        DefaultMQProducer producer = cluster.producer("tags");
        producer.send(Cluster.message(topic, 0));
        Seen seen = new Seen();
        DefaultMQPushConsumer consumer = cluster.pushConsumer(cluster.fresh("CG-tags"), "tags");
        consumer.subscribe(topic, "TagA || TagC");
        consumer.registerMessageListener(seen.listener());
        consumer.start();
        for (int i = 1; i < 300; i++) {
            producer.send(Cluster.message(topic, i));
        }
        Cluster.await(60, "200 of 300 messages", () -> seen.times.size() == 200);
        seen.check();
        require(seen.times.keySet().stream().noneMatch(i -> i % 3 == 1), "a message of TagB came");
        consumer.shutdown();
        producer.shutdown();
        return "200 of 300 messages";
    }

    static String orderly(Cluster cluster) throws Exception {
        String topic = cluster.fresh("orderly");
        DefaultMQProducer producer = cluster.producer("orderly");
        Map<MessageQueue, List<Integer>> received = new ConcurrentHashMap<>();
        AtomicReference<Throwable> failure = new AtomicReference<>();
        Set<Integer> suspended = ConcurrentHashMap.newKeySet();
        Set<Integer> done = ConcurrentHashMap.newKeySet();
        producer.send(Cluster.message(topic, 0));
        DefaultMQPushConsumer consumer = cluster.pushConsumer(cluster.fresh("CG-orderly"), "orderly");
        consumer.subscribe(topic, "*");
        consumer.setConsumeMessageBatchMaxSize(1);
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            for (MessageExt message : messages) {
                try {
                    int i = Cluster.verified(message);
                    if (i % 100 == 50 && suspended.add(i)) {
                        context.setSuspendCurrentQueueTimeMillis(100);
                        return ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
                    }
                    received.computeIfAbsent(context.getMessageQueue(), q -> new ArrayList<>()).add(i);
                    done.add(i);
                } catch (Throwable e) {
                    failure.compareAndSet(null, e);
                }
            }
            return ConsumeOrderlyStatus.SUCCESS;
        });
        consumer.start();
        for (int i = 1; i < COUNT; i++) {
            producer.send(Cluster.message(topic, i), (queues, message, key) -> queues.get((Integer) key % queues.size()), i % 8);
        }
        Cluster.await(60, COUNT + " messages", () -> done.size() == COUNT);
        if (failure.get() != null) {
            throw new IllegalStateException(failure.get());
        }
        for (List<Integer> numbers : received.values()) {
            List<Integer> fromOne = numbers.subList(numbers.get(0) == 0 ? 1 : 0, numbers.size());
            for (int i = 1; i < fromOne.size(); i++) {
                require(fromOne.get(i) > fromOne.get(i - 1), "order in a queue: " + fromOne.get(i - 1) + " before " + fromOne.get(i));
            }
        }
        consumer.shutdown();
        producer.shutdown();
        return COUNT + " messages in order on " + received.size() + " queues, " + suspended.size() + " suspended";
    }

    static String rebalance(Cluster cluster) throws Exception {
        String topic = cluster.fresh("rebalance");
        String group = cluster.fresh("CG-rebalance");
        DefaultMQProducer producer = cluster.producer("rebalance");
        producer.send(Cluster.message(topic, 0));
        Seen first = new Seen();
        Seen second = new Seen();
        DefaultMQPushConsumer one = cluster.pushConsumer(group, "rebalance-1");
        one.subscribe(topic, "*");
        one.registerMessageListener(first.listener());
        one.start();
        Cluster.await(60, "all queues for the first consumer", () -> queues(one, topic).size() == 4);
        DefaultMQPushConsumer two = cluster.pushConsumer(group, "rebalance-2");
        two.subscribe(topic, "*");
        two.registerMessageListener(second.listener());
        two.start();
        Cluster.await(60, "two queues each", () -> queues(one, topic).size() == 2 && queues(two, topic).size() == 2);
        Set<MessageQueue> both = new HashSet<>(queues(one, topic));
        both.retainAll(queues(two, topic));
        require(both.isEmpty(), "a queue belongs to two consumers: " + both);
        for (int i = 1; i < COUNT; i++) {
            producer.send(Cluster.message(topic, i));
        }
        Cluster.await(60, COUNT + " messages", () -> union(first, second).size() == COUNT);
        require(second.times.size() > COUNT / 4, "the second consumer got " + second.times.size());
        two.shutdown();
        Cluster.await(60, "all queues back", () -> queues(one, topic).size() == 4);
        first.check();
        second.check();
        one.shutdown();
        producer.shutdown();
        return first.times.size() + " and " + second.times.size() + " messages";
    }

    /** A second run of a group goes on where the first one stopped. */
    static String resume(Cluster cluster) throws Exception {
        String topic = cluster.fresh("resume");
        String group = cluster.fresh("CG-resume");
        DefaultMQProducer producer = cluster.producer("resume");
        Seen first = new Seen();
        Seen second = new Seen();
        for (int i = 0; i < 100; i++) {
            producer.send(Cluster.message(topic, i));
        }
        DefaultMQPushConsumer one = cluster.pushConsumer(group, "resume-1");
        one.subscribe(topic, "*");
        one.registerMessageListener(first.listener());
        one.start();
        Cluster.await(60, "100 messages", () -> first.times.size() == 100);
        one.shutdown();
        for (int i = 100; i < 200; i++) {
            producer.send(Cluster.message(topic, i));
        }
        DefaultMQPushConsumer two = cluster.pushConsumer(group, "resume-2");
        two.subscribe(topic, "*");
        two.registerMessageListener(second.listener());
        two.start();
        Cluster.await(60, "200 messages", () -> union(first, second).size() == 200);
        first.check();
        second.check();
        long again = second.times.keySet().stream().filter(i -> i < 100).count();
        require(again == 0, again + " messages came again after a clean stop");
        two.shutdown();
        producer.shutdown();
        return "100 and 100 messages, none again";
    }

    private static Set<Integer> union(Seen first, Seen second) {
        Set<Integer> all = new HashSet<>(first.times.keySet());
        all.addAll(second.times.keySet());
        return all;
    }

    private static Set<MessageQueue> queues(DefaultMQPushConsumer consumer, String topic) {
        Set<MessageQueue> queues = new HashSet<>();
        for (MessageQueue queue : consumer.getDefaultMQPushConsumerImpl().getRebalanceImpl().getProcessQueueTable().keySet()) {
            if (queue.getTopic().equals(topic)) {
                queues.add(queue);
            }
        }
        return queues;
    }

    private Pushes() {}
}

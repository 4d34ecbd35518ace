package ringmq;

import static ringmq.Cluster.require;

import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Consumers that ask for themselves. */
@SuppressWarnings("deprecation")
final class Pulls {
    private static final int COUNT = 200;

    static String lite(Cluster cluster) throws Exception {
        String topic = cluster.fresh("lite");
        fill(cluster, "lite", topic);
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(cluster.fresh("CG-lite"));
        consumer.setNamesrvAddr(cluster.namesrv());
        consumer.setInstanceName(cluster.fresh("lite"));
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        consumer.start();
        Set<Integer> seen = new HashSet<>();
        Cluster.await(60, COUNT + " messages", () -> {
            consumer.poll(500).forEach(message -> seen.add(Cluster.verified(message)));
            return seen.size() == COUNT;
        });
        consumer.commitSync();
        consumer.shutdown();
        return COUNT + " messages";
    }

    static String assign(Cluster cluster) throws Exception {
        String topic = cluster.fresh("assign");
        fill(cluster, "assign", topic);
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(cluster.fresh("CG-assign"));
        consumer.setNamesrvAddr(cluster.namesrv());
        consumer.setInstanceName(cluster.fresh("assign"));
        consumer.setAutoCommit(false);
        consumer.start();
        Collection<MessageQueue> queues = consumer.fetchMessageQueues(topic);
        consumer.assign(queues);
        for (MessageQueue queue : queues) {
            consumer.seek(queue, 10);
        }
        Map<MessageQueue, Long> lowest = new HashMap<>();
        Set<Integer> seen = new HashSet<>();
        int expected = COUNT - 10 * queues.size();
        Cluster.await(60, expected + " messages", () -> {
            for (MessageExt message : consumer.poll(500)) {
                seen.add(Cluster.verified(message));
                MessageQueue queue = new MessageQueue(topic, message.getBrokerName(), message.getQueueId());
                lowest.merge(queue, message.getQueueOffset(), Math::min);
            }
            return seen.size() == expected;
        });
        require(lowest.values().stream().allMatch(offset -> offset == 10), "seek: " + lowest);
        consumer.shutdown();
        return expected + " messages after a seek";
    }

    static String plain(Cluster cluster) throws Exception {
        String topic = cluster.fresh("plain");
        fill(cluster, "plain", topic);
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer(cluster.fresh("CG-plain"));
        consumer.setNamesrvAddr(cluster.namesrv());
        consumer.setInstanceName(cluster.fresh("plain"));
        consumer.start();
        Set<Integer> seen = new HashSet<>();
        for (MessageQueue queue : consumer.fetchSubscribeMessageQueues(topic)) {
            long next = 0;
            PullResult result = consumer.pull(queue, "*", next, 32);
            while (result.getPullStatus() == PullStatus.FOUND) {
                for (MessageExt message : result.getMsgFoundList()) {
                    require(message.getQueueOffset() == next++, "dense offsets");
                    seen.add(Cluster.verified(message));
                }
                require(result.getNextBeginOffset() == next, "next offset");
                result = consumer.pull(queue, "*", next, 32);
            }
            require(result.getPullStatus() == PullStatus.NO_NEW_MSG, "at the end: " + result);
            require(consumer.pull(queue, "*", next + 100, 32).getPullStatus() == PullStatus.OFFSET_ILLEGAL, "beyond the end");
            require(result.getMaxOffset() == next && result.getMinOffset() == 0, "bounds: " + result);
            consumer.updateConsumeOffset(queue, next);
        }
        require(seen.size() == COUNT, seen.size() + " messages");
        consumer.shutdown();
        return COUNT + " messages";
    }

    private static void fill(Cluster cluster, String what, String topic) throws Exception {
        DefaultMQProducer producer = cluster.producer(what);
        for (int i = 0; i < COUNT; i++) {
            producer.send(Cluster.message(topic, i));
        }
        producer.shutdown();
    }

    private Pulls() {}
}

package ringmq;

import static ringmq.Cluster.require;

import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.MessageExt;

/** Producer and consumer live through a broker that is killed and started again by somebody else. */
final class Survival {
    private static final int COUNT = 1500;

    static String kill(Cluster cluster) throws Exception {
        String topic = cluster.fresh("survive");
        DefaultMQProducer producer = cluster.producer("survive");
        producer.setSendMsgTimeout(3_000);
        Map<Integer, Integer> seen = new ConcurrentHashMap<>();
        AtomicReference<Throwable> failure = new AtomicReference<>();
        producer.send(Cluster.message(topic, 0));
        DefaultMQPushConsumer consumer = cluster.pushConsumer(cluster.fresh("CG-survive"), "survive");
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) {
                try {
                    seen.merge(Cluster.verified(message), 1, Integer::sum);
                } catch (Throwable e) {
                    failure.compareAndSet(null, e);
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        Set<Integer> acknowledged = ConcurrentHashMap.newKeySet();
        acknowledged.add(0);
        int failed = 0;
        for (int i = 1; i < COUNT; i++) {
            if (i == COUNT / 3) {
                System.out.println("KILL NOW");
            }
            while (!acknowledged.contains(i)) {
                try {
                    SendResult result = producer.send(Cluster.message(topic, i));
                    if (result.getSendStatus() == SendStatus.SEND_OK) {
                        acknowledged.add(i);
                    }
                } catch (Exception e) {
                    failed++;
                    require(failed < 2_000, "the broker did not come back: " + e);
                    java.util.concurrent.locks.LockSupport.parkNanos(20_000_000);
                }
            }
        }
        Cluster.await(90, "every acknowledged message", () -> seen.keySet().containsAll(acknowledged));
        if (failure.get() != null) {
            throw new IllegalStateException(failure.get());
        }
        consumer.shutdown();
        producer.shutdown();
        int copies = seen.values().stream().mapToInt(Integer::intValue).sum() - seen.size();
        return COUNT + " acknowledged and delivered, " + failed + " sends failed meanwhile, " + copies + " copies";
    }

    private Survival() {}
}

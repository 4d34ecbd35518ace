package ringmq;

import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Where the name server is, and the few things every scenario needs. */
final class Cluster {
    static final String TEXT = "Grüße, 世界 \uD83D\uDE80";

    private final String namesrv;
    private final String run = Long.toString(System.nanoTime(), 36);

    Cluster(String namesrv) {
        this.namesrv = namesrv;
    }

    String namesrv() {
        return namesrv;
    }

    /** A name that no other run has used. */
    String fresh(String what) {
        return what + "-" + run;
    }

    DefaultMQProducer producer(String what) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(fresh("PG-" + what));
        producer.setNamesrvAddr(namesrv);
        producer.setInstanceName(fresh("producer-" + what));
        producer.setSendMsgTimeout(10_000);
        producer.start();
        return producer;
    }

    DefaultMQPushConsumer pushConsumer(String group, String instance) {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        consumer.setNamesrvAddr(namesrv);
        consumer.setInstanceName(fresh(instance));
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        return consumer;
    }

    /** Message number {@code i} of a topic, with tag, key, flag and properties that can be checked. */
    static Message message(String topic, int i) {
        Message message = new Message(topic, "Tag" + (char) ('A' + i % 3), "key-" + i, body(i));
        message.setFlag(i);
        message.putUserProperty("number", Integer.toString(i));
        message.putUserProperty("text", TEXT);
        return message;
    }

    private static byte[] body(int i) {
        return (TEXT + " no. " + i + " " + "x".repeat(i % 700)).getBytes(StandardCharsets.UTF_8);
    }

    /** The number of a received message, after everything that was sent with it has been compared. */
    static int verified(MessageExt received) {
        int i = Integer.parseInt(received.getUserProperty("number"));
        Message sent = message(received.getTopic(), i);
        require(new String(received.getBody(), StandardCharsets.UTF_8).equals(new String(sent.getBody(), StandardCharsets.UTF_8)), "body of " + i);
        require(sent.getTags().equals(received.getTags()), "tag of " + i);
        require(sent.getKeys().equals(received.getKeys()), "keys of " + i);
        require(sent.getFlag() == received.getFlag(), "flag of " + i);
        require(TEXT.equals(received.getUserProperty("text")), "property of " + i);
        require(received.getStoreTimestamp() > 0 && received.getBornTimestamp() > 0, "times of " + i);
        require(received.getCommitLogOffset() >= 0, "physical offset of " + i);
        return i;
    }

    static void require(boolean holds, String what) {
        if (!holds) {
            throw new IllegalStateException("wrong: " + what);
        }
    }

    /** Waits until something holds, for at most this many seconds. */
    static void await(int seconds, String what, BooleanSupplier holds) {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
        while (!holds.getAsBoolean()) {
            require(System.nanoTime() < deadline, what + " did not come within " + seconds + " s");
            LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(20));
        }
    }
}

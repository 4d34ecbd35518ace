'use strict';

// Sends and consumes with ali-ons: namesrv topic count.

const { Consumer, Message, Producer } = require('ali-ons');

const LIMIT_MS = 60000;
const TAGS = ['TagA', 'TagB', 'TagC'];

const logger = { debug() {}, info() {}, warn() {}, error(...args) { console.error(...args); } };

// What both ends share. The client wants an HTTP client for an address server that is not asked when
// the name server is given.
function options(namesrv) {
  const httpclient = { request() { throw new Error('no address server is to be asked'); } };
  return { nameSrv: namesrv, onsAddr: null, httpclient, logger };
}

function body(i) {
  return `message ${i} from Node`;
}

async function send(namesrv, topic, count) {
  const producer = new Producer({ ...options(namesrv), producerGroup: `PG_${topic}` });
  await producer.ready();
  for (let i = 0; i < count; i++) {
    const message = new Message(topic, TAGS[i % TAGS.length], body(i));
    message.keys = [`key-${i}`];
    message.properties.number = String(i);
    const result = await producer.send(message);
    if (result.sendStatus !== 'SEND_OK') {
      throw new Error(`sending message ${i}: ${JSON.stringify(result)}`);
    }
  }
  await producer.close();
}

// Receives what has the first two tags, each message once.
async function receive(namesrv, topic, count) {
  const numbers = [...Array(count).keys()];
  const expected = numbers.filter(i => i % TAGS.length !== 2).length;
  const seen = new Set();
  const consumer = new Consumer({
    ...options(namesrv),
    consumerGroup: `CG_${topic}`,
    consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
  });
  await new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`${seen.size} of ${expected} received within ${LIMIT_MS} ms`)), LIMIT_MS).unref();
    consumer.on('error', reject);
    consumer.subscribe(topic, 'TagA || TagB', async message => {
      const i = Number(message.properties.number);
      const right = i % TAGS.length !== 2 && message.body.toString() === body(i)
        && message.tags === TAGS[i % TAGS.length] && !seen.has(i);
      if (!right) {
        reject(new Error(`wrong or repeated: ${i} ${message.tags} ${message.body}`));
      }
      seen.add(i);
      if (seen.size === expected) {
        resolve();
      }
    });
  });
  await consumer.close();
  return expected;
}

async function main() {
  const [namesrv, topic, text] = process.argv.slice(2);
  const count = Number(text);
  await send(namesrv, topic, count);
  const received = await receive(namesrv, topic, count);
  console.log(`ok sent ${count} received ${received}`);
}

main().then(() => process.exit(0), error => {
  console.log(`FAIL ${error.stack}`);
  process.exit(1);
});

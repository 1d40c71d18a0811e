// The load test of the tutorial "Asynchronous Communications and Message Queues", against any broker: 10,000 orders in
// batches of 100, each in the tutorial's JSON envelope.
//
//   KAFKA_BROKERS=127.0.0.1:9092 node load-test.js
const { Kafka } = require("kafkajs");
const { v4: uuidv4 } = require("uuid");

const kafka = new Kafka({
  clientId: "load-test-client",
  brokers: (process.env.KAFKA_BROKERS || "localhost:9092").split(","),
});

const producer = kafka.producer();

async function runLoadTest() {
  console.log("Starting Kafka load test...");

  await producer.connect();

  const startTime = Date.now();
  const messageCount = 10000;
  const batchSize = 100;

  try {
    for (let i = 0; i < messageCount; i += batchSize) {
      const messages = [];

      for (let j = 0; j < batchSize && i + j < messageCount; j++) {
        const orderEvent = {
          eventId: uuidv4(),
          eventType: "OrderCreated",
          aggregateId: `order-${i + j}`,
          version: 1,
          timestamp: new Date(),
          data: {
            orderId: `order-${i + j}`,
            customerId: `customer-${Math.floor(Math.random() * 1000)}`,
            amount: Math.floor(Math.random() * 500) + 10,
            items: [
              {
                productId: `prod-${Math.floor(Math.random() * 100)}`,
                quantity: Math.floor(Math.random() * 5) + 1,
                price: Math.floor(Math.random() * 100) + 10,
              },
            ],
          },
          metadata: {
            source: "load-test",
            correlationId: uuidv4(),
          },
        };

        messages.push({
          key: orderEvent.aggregateId,
          value: JSON.stringify(orderEvent),
          headers: {
            eventType: orderEvent.eventType,
            timestamp: orderEvent.timestamp.toISOString(),
          },
        });
      }

      await producer.send({
        topic: "order-events",
        messages,
      });

      if ((i + batchSize) % 1000 === 0) {
        console.log(`Sent ${i + batchSize} messages...`);
      }
    }

    const duration = Date.now() - startTime;
    const messagesPerSecond = Math.floor(messageCount / (duration / 1000));

    console.log("Load test completed!");
    console.log(`Total messages: ${messageCount}`);
    console.log(`Duration: ${duration}ms`);
    console.log(`Messages per second: ${messagesPerSecond}`);
  } finally {
    await producer.disconnect();
  }
}

runLoadTest().catch((error) => {
  console.error("Load test failed:", error);
  process.exitCode = 1;
});

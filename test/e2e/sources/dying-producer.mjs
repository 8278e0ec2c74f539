// Stands in for the thread of a producer: it ends at the first order whose topic asks for it, else answers with nothing.
import { parentPort } from 'node:worker_threads'

parentPort.on('message', (order) => {
  if (order.kind === 'close') parentPort.close()
  else if (order.topic === 'throw') throw new Error('out of luck')
  else if (order.topic === 'exit') process.exit(3)
  else parentPort.postMessage({ kind: 'sent', id: order.id, firsts: new Map([[0, order.values.length]]) })
})

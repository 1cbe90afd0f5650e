import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { namespaceUnavailable, openNamespace, type Namespace } from '../helpers/namespace.ts'
import { postQuantumNode } from '../helpers/post-quantum-node.ts'
import { rootlingIn, type Serving } from '../helpers/rootling.ts'
import { everyClient, visit } from '../outside/e2e/clients.ts'

const noNamespace = namespaceUnavailable()
const found = noNamespace === null ? await postQuantumNode() : { node: null, missing: noNamespace }
const { node, missing: obstacle } = found
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`
const rows = obstacle === null ? await everyClient() : []
const browsers = rows.filter(({ client }) => /^chromium|^firefox \(new/.test(client.name))

describe.skipIf(obstacle !== null)(
  `the demo page of a server under a Node with OpenSSL 3.5${skipNote}`,
  () => {
    let namespace: Namespace
    let serving: Serving

    beforeAll(async () => {
      namespace = await openNamespace()
      const rootling = rootlingIn(namespace, node ?? '')
      await rootling.must(['install', '--yes'])
      serving = await rootling.serve(['--port=0'])
    })
    afterAll(async () => {
      serving?.close()
      await namespace?.close()
    })

    for (const { client, unavailable, title } of browsers)
      test.skipIf(unavailable !== null)(`shows ${title} X25519MLKEM768`, async () => {
        const [verdict] = await visit(client, namespace, [serving.url])
        expect(verdict).toMatchObject({
          trusted: true,
          body: expect.stringMatching(/Key exchange\s+X25519MLKEM768\s/),
        })
      })
  },
)

import type { AcmeOptions } from '../../src/acme/options.ts'
import { startAcme } from './harness.ts'
import { RawClient, type RawAnswer } from './raw.ts'
import { keyAuthorization } from './responder.ts'

/** A server that soon gives up a validation, and a client of it. */
export async function startChallenged(options: AcmeOptions) {
  const brief = { validationMilliseconds: 2_000, answerMilliseconds: 400, ...options }
  const acme = await startAcme({ options: brief })
  const client = await new RawClient(acme.directory, acme.root).start()
  return {
    acme,
    client,
    /** A new order for one name, and its challenge of a type. */
    async challengeFor(name: string, type: string) {
      const order = await client.order([name])
      const { body } = await client.post(order.body.authorizations[0], null)
      const challenge = body.challenges.find((one: { type: string }) => one.type === type)
      return {
        order,
        authorization: order.body.authorizations[0] as string,
        url: challenge.url as string,
        token: challenge.token as string,
        keyAuthorization: await keyAuthorization(client, challenge.token),
        /** Of the authorization and of the order. */
        status: async () => {
          const states = [order.body.authorizations[0], order.headers['location'] ?? '']
          const answers: RawAnswer[] = []
          for (const url of states) answers.push(await client.post(url, null))
          return answers.map((answer) => answer.body.status)
        },
      }
    },
    async close(): Promise<void> {
      client.close()
      await acme.close()
    },
  }
}
export type Challenged = Awaited<ReturnType<typeof startChallenged>>

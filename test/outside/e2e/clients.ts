import { chromiumClient } from './client-chromium.ts'
import { firefoxClient } from './client-firefox.ts'
import { javaClients } from './client-java.ts'
import { toolClients } from './client-tools.ts'
import type { Client } from './client.ts'

export { visit } from './client.ts'

/** A client with the answer of `unavailable`, asked before the tests are collected. */
export interface ClientRow {
  readonly client: Client
  readonly unavailable: string | null
  /** The client's name, and why it is skipped if it is. */
  readonly title: string
}

/** Every client that the end-to-end tests know, also those that this machine lacks. */
export async function everyClient(): Promise<ClientRow[]> {
  const clients: readonly Client[] = [
    ...toolClients,
    ...javaClients(),
    chromiumClient,
    firefoxClient('old'),
    firefoxClient('new', true),
  ]
  return Promise.all(
    clients.map(async (client) => {
      const unavailable = await client.unavailable()
      const title = unavailable === null ? client.name : `${client.name} [skipped: ${unavailable}]`
      return { client, unavailable, title }
    }),
  )
}

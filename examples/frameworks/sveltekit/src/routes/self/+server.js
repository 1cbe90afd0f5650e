/** `event.fetch` would ask the same server without a connection. */
export async function GET({ url }) {
  const { status } = await fetch(new URL('/', url))
  return new Response(`itself: ${status}`)
}

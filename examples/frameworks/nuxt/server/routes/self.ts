export default defineEventHandler(async (event) => {
  const { status } = await fetch(`https://${event.node.req.headers.host}/`)
  return `itself: ${status}`
})

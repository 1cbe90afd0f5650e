export async function GET(request) {
  const { status } = await fetch(`https://${request.headers.get('host')}/`)
  return new Response(`itself: ${status}`)
}

export default function Page() {
  return <h1 id="greeting">Hello</h1>
}

export default { title: 'Greeting' }

export const Basic = { render: () => '<h1 id="greeting">Hello</h1>' }

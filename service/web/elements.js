// A new element with these children: texts or elements.
export function element(tag, ...children) {
  const node = document.createElement(tag);
  node.append(...children);
  return node;
}

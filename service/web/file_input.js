// Audio files that the person chooses or drops on the page.

const input = document.getElementById("file");
const drop = document.getElementById("drop");

// Calls listener(file) for each.
export function onFile(listener) {
  input.onchange = () => {
    if (input.files.length) listener(input.files[0]);
    input.value = ""; // the same file may be chosen again
  };
  document.ondragover = (event) => (event.preventDefault(), drop.classList.add("over"));
  document.ondragleave = () => drop.classList.remove("over");
  document.ondrop = (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (event.dataTransfer.files.length) listener(event.dataTransfer.files[0]);
  };
}

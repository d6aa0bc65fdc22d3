//! Step push: a message lies in the next slot, and tail counts it.

use crate::checks::common::{must_exit, prefix_is_written};
use crate::checks::unbounded_buffer::stage::{PRODUCER, empty, filled, holds, messages, produce};
use crate::diagnosis::fail;
use crate::peer::log::{FIRST_LEN, HEAD, TAIL};
use crate::process::Start;
use crate::scene::{NAME, Scene};
use crate::verdict::Outcome;

pub(super) fn first_length(scene: &mut Scene) -> Outcome {
    // One mask would take away what the owner needs, the other takes nothing away.
    for umask in [0o377, 0] {
        let start = Start { umask: Some(umask), ..Start::default() };
        let ended = scene.run_with(&["create", NAME], start)?;
        must_exit(&ended, 0, "create-fails", "`create`")?;
        let object = scene.object()?;
        if object.len() != FIRST_LEN {
            return Err(fail("wrong-length")
                .expected("`create` makes an object of 4096 bytes")
                .seen(format!("it has {} bytes", object.len()))
                .into());
        }
        if object.mode() != 0o600 {
            return Err(fail("wrong-mode")
                .expected(format!("the object's mode is 0600 with umask {umask:04o}"))
                .seen(format!("it is {:04o}", object.mode()))
                .into());
        }
        scene.renew();
    }
    Ok(())
}

pub(super) fn prefix(scene: &mut Scene) -> Outcome {
    let ended = scene.run(&["create", NAME])?;
    must_exit(&ended, 0, "create-fails", "`create`")?;
    let object = scene.object()?;
    prefix_is_written(&object, 2, FIRST_LEN)?;
    let (tail, head) = (object.u64(TAIL), object.u64(HEAD));
    if (tail, head) != (0, 0) {
        return Err(fail("wrong-tail")
            .expected("tail and head are 0 in a new buffer")
            .seen(format!("tail is {tail} and head is {head}"))
            .into());
    }
    Ok(())
}

pub(super) fn exclusive(scene: &mut Scene) -> Outcome {
    let object = filled(scene, &messages(0..3), 8192)?;
    let (inode, before) = (object.inode(), object.bytes());
    let ended = scene.run(&["create", NAME])?;
    let now = scene.object()?;
    if now.inode() != inode || now.bytes() != before {
        return Err(fail("not-exclusive")
            .expected("`create` leaves a buffer that exists as it is")
            .seen("its bytes, or the object itself, are others afterwards")
            .into());
    }
    must_exit(&ended, 10, "not-exclusive", "`create` of a name that exists")
}

pub(super) fn slots(scene: &mut Scene) -> Outcome {
    let object = empty(scene)?;
    let producer = scene.attach(PRODUCER)?;
    let kinds: [&[u8]; 9] = [
        b"a line\n",
        b"\n",
        &[b'x'; 56],
        b"short after long\n",
        b"\0\0\0\0\0\0\0\0\0\n",
        b"\xff\xfe\x80\0\x7f\n",
        &[0; 56],
        b"exactly fifty-five bytes and then a newline: 0123456789\n",
        b"8 bytes\n",
    ];
    let mut published: Vec<Vec<u8>> = Vec::new();
    for kind in kinds {
        let message = kind.to_vec();
        produce(scene, producer, published.len() as u64, std::slice::from_ref(&message))?;
        published.push(message);
        holds(&object, &published, 0, "your producer")?;
    }
    Ok(())
}

pub(super) fn first_page(scene: &mut Scene) -> Outcome {
    let all = messages(0..60);
    let object = empty(scene)?;
    let input = Some(scene.input("in", &all.concat())?);
    let start = Start { input, ..Start::default() };
    let producer = scene.start_with(&[PRODUCER, &["--keep-open"]].concat(), start)?;
    let ended = scene.finish(producer, "publishes 60 messages and ends")?;
    must_exit(&ended, 0, "ends-early", "your producer, given 60 messages,")?;
    holds(&object, &all, 0, "your producer")
}

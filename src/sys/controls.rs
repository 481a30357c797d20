//! A device's controls (brightness, exposure and so on), with their ranges.
//!
//! Asked for here and not through the `v4l` crate, whose own query panics on control types it does not know and on
//! names that are not UTF-8.

use std::io;

use v4l::device::Handle;
use v4l::v4l_sys as sys;
use v4l::v4l2::vidioc;

use super::control::{Control, ControlKind, MenuItem};
use super::video_device::{ioctl, text};

/// All controls of `device` that hold one number; strings and compounds are left out.
pub fn controls(device: &v4l::Device) -> Vec<Control> {
    let handle = device.handle();
    let mut controls = Vec::new();
    let mut last = 0;
    // The driver answers with the next higher id each time; the bound is for one that does not.
    while controls.len() < MAX_CONTROLS {
        let Ok(query) = query_after(&handle, last) else { break };
        if query.id <= last {
            break;
        }
        last = query.id;
        if let Some(control) = describe(&handle, &query) {
            controls.push(control);
        }
    }
    controls
}

/// More than any camera has.
const MAX_CONTROLS: usize = 512;

/// More items than any menu has.
const MAX_MENU_ITEMS: u32 = 256;

fn query_after(handle: &Handle, id: u32) -> io::Result<sys::v4l2_query_ext_ctrl> {
    // SAFETY: a plain C struct for which all zeros is valid.
    let mut query: sys::v4l2_query_ext_ctrl = unsafe { std::mem::zeroed() };
    query.id = id | sys::V4L2_CTRL_FLAG_NEXT_CTRL;
    // SAFETY: VIDIOC_QUERY_EXT_CTRL takes a v4l2_query_ext_ctrl, which holds no pointer.
    unsafe { ioctl(handle, vidioc::VIDIOC_QUERY_EXT_CTRL, &mut query)? };
    Ok(query)
}

fn describe(handle: &Handle, query: &sys::v4l2_query_ext_ctrl) -> Option<Control> {
    if query.flags & sys::V4L2_CTRL_FLAG_DISABLED != 0 {
        return None;
    }
    let kind = match query.type_ {
        sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER
        | sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER64
        | sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BITMASK => ControlKind::Integer,
        sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BOOLEAN => ControlKind::Boolean,
        sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_MENU | sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER_MENU => ControlKind::Menu,
        sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BUTTON => ControlKind::Button,
        _ => return None,
    };
    // `c_char` is signed on some targets and unsigned on others; the bits are what is wanted.
    let name: Vec<u8> = query.name.iter().map(|&c| c as u8).collect();
    let readable = kind != ControlKind::Button
        && query.type_ != sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER64
        && query.flags & sys::V4L2_CTRL_FLAG_WRITE_ONLY == 0;
    Some(Control {
        id: query.id,
        name: text(&name),
        kind,
        minimum: query.minimum,
        maximum: query.maximum,
        step: query.step,
        default: query.default_value,
        value: if readable { current(handle, query.id).ok() } else { None },
        items: if kind == ControlKind::Menu { menu(handle, query) } else { Vec::new() },
        read_only: query.flags & sys::V4L2_CTRL_FLAG_READ_ONLY != 0
            || query.type_ == sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER64,
        inactive: query.flags & (sys::V4L2_CTRL_FLAG_INACTIVE | sys::V4L2_CTRL_FLAG_GRABBED) != 0,
    })
}

/// Sets the control with this number; a button takes any value.
///
/// # Errors
/// The driver's answer: `EINVAL` for no such control, `ERANGE` for a value it does not take, `EACCES` for one that cannot be
/// set, `EBUSY` for one that cannot be set now.
pub fn set_control(device: &v4l::Device, id: u32, value: i32) -> io::Result<()> {
    let mut control = sys::v4l2_control { id, value };
    // SAFETY: VIDIOC_S_CTRL takes a v4l2_control, which holds no pointer.
    unsafe { ioctl(&device.handle(), vidioc::VIDIOC_S_CTRL, &mut control) }
}

fn current(handle: &Handle, id: u32) -> io::Result<i64> {
    let mut control = sys::v4l2_control { id, value: 0 };
    // SAFETY: VIDIOC_G_CTRL takes a v4l2_control, which holds no pointer.
    unsafe { ioctl(handle, vidioc::VIDIOC_G_CTRL, &mut control)? };
    Ok(i64::from(control.value))
}

fn menu(handle: &Handle, query: &sys::v4l2_query_ext_ctrl) -> Vec<MenuItem> {
    let first = u32::try_from(query.minimum).unwrap_or(0);
    let last = u32::try_from(query.maximum).unwrap_or(0).min(first.saturating_add(MAX_MENU_ITEMS));
    // Drivers may leave holes in a menu: an item that is refused is left out.
    let item = |value| menu_item(handle, query, value).map(|name| MenuItem { value, name });
    (first..=last).filter_map(item).collect()
}

fn menu_item(handle: &Handle, query: &sys::v4l2_query_ext_ctrl, index: u32) -> Option<String> {
    // SAFETY: a plain C struct for which all zeros is valid.
    let mut item: sys::v4l2_querymenu = unsafe { std::mem::zeroed() };
    item.id = query.id;
    item.index = index;
    // SAFETY: VIDIOC_QUERYMENU takes a v4l2_querymenu, which holds no pointer.
    unsafe { ioctl(handle, vidioc::VIDIOC_QUERYMENU, &mut item).ok()? };
    if query.type_ == sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER_MENU {
        // SAFETY: both members are plain bytes of which every pattern is valid; this is the one the driver filled.
        Some(unsafe { { item.__bindgen_anon_1 }.value }.to_string())
    } else {
        // SAFETY: as above.
        Some(text(&unsafe { { item.__bindgen_anon_1 }.name }))
    }
}
